//! What is wrong with a key line, a key file or the key directory, for people.

use std::fmt;

use crate::model::Lang;

/// One thing that keeps a key (or a whole file) from counting, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// File name within the directory; empty when the directory itself is meant.
    pub file: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// Byte column in the line, from 1; 0 when the whole line is meant.
    pub column: usize,
    /// What.
    pub wrong: Wrong,
}

impl Fault {
    /// A fault of a whole file.
    pub fn of_file(file: &str, wrong: Wrong) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, wrong }
    }

    /// `file:line:column`, as far as it goes.
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (0, _) => self.file.clone(),
            (line, 0) => format!("{}:{line}", self.file),
            (line, column) => format!("{}:{line}:{column}", self.file),
        }
    }

    /// Place, what is wrong and what to do about it, in one line.
    pub fn text(&self, lang: Lang) -> String {
        let place = self.place();
        let sep = if place.is_empty() { "" } else { ": " };
        format!("{place}{sep}{}", self.wrong.text(lang))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Lang::En))
    }
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// An option nobody knows: the key does not count, as with OpenSSH.
    UnknownOption(String),
    /// An option of OpenSSH that would promise something we do not do.
    Unsupported(String),
    /// `from` or `expiry-time` without a quoted value.
    NoValue(String),
    /// A quote that is never closed.
    Unclosed,
    /// Something other than a comma or a blank after an option.
    AfterOption,
    /// `command=` names something other than an intake.
    Command(String),
    /// `principals=` without `cert-authority`.
    NoAuthority,
    /// The option stands twice.
    Twice(String),
    /// A name where an address is needed.
    HostName(String),
    /// Neither an address nor a network.
    BadAddress(String),
    /// A network with bits set beyond its length.
    HostBits {
        /// As written.
        given: String,
        /// What was probably meant.
        network: String,
    },
    /// Exclusions without anything they are excluded from.
    OnlyNegations,
    /// Not a time in OpenSSH's form.
    BadTime(String),
    /// Nothing that looks like a key.
    NoKey,
    /// A kind of key that is not accepted.
    KeyType(String),
    /// The key's text is damaged.
    Damaged,
    /// The key says it is of another kind than the line says.
    OtherType {
        /// What the line says.
        named: String,
        /// What the key says.
        found: String,
    },
    /// An RSA key of fewer bits than [`super::RSA_BITS_MIN`].
    ShortRsa(u32),
    /// A private key lies where a public key belongs.
    PrivateKey,
    /// A public key in RFC 4716 or PuTTY's form.
    OtherFormat,
    /// Group or others may write to it.
    Writable(u32),
    /// It belongs to somebody other than root and this service.
    Owner(u32),
    /// A link, directory or device.
    NotAFile,
    /// The name does not end in `.pub`.
    Suffix,
    /// Larger than its bound.
    TooLarge,
    /// More files, or lines, than their bound.
    TooMany,
    /// The system would not let us read it.
    Unreadable(String),
}

impl Wrong {
    /// What is wrong and what to do about it.
    pub fn text(&self, lang: Lang) -> String {
        match lang {
            Lang::Es => self.es(),
            Lang::En => self.en(),
        }
    }

    fn es(&self) -> String {
        match self {
            Self::UnknownOption(o) => {
                format!("opción desconocida «{o}»: la llave no cuenta (como en OpenSSH); corrija o quite la opción")
            }
            Self::Unsupported(o) => {
                format!("la opción «{o}» no se cumple aquí y por eso la llave no cuenta; quítela")
            }
            Self::NoValue(o) => format!("a «{o}» le falta su valor entre comillas: {o}=\"…\""),
            Self::Unclosed => "comillas sin cerrar".to_owned(),
            Self::AfterOption => "tras una opción va una coma o un espacio".to_owned(),
            Self::Command(c) => {
                format!("command=\"{c}\" no es una entrada de aquí; valen internal-sftp, rrsync -wo CARPETA, scp -t CARPETA, rsync --server …, cat > ARCHIVO y tar x…")
            }
            Self::NoAuthority => {
                "principals= sólo vale con cert-authority; añádala si la llave firma certificados, o quite principals=".to_owned()
            }
            Self::Twice(o) => format!("«{o}» aparece dos veces; una sola lista separada por comas"),
            Self::HostName(n) => {
                format!("«{n}» es un nombre; from= admite sólo direcciones y redes (192.0.2.7, 192.0.2.0/24, 2001:db8::/32)")
            }
            Self::BadAddress(a) => format!("«{a}» no es una dirección ni una red"),
            Self::HostBits { given, network } => {
                format!("«{given}» no es el comienzo de una red; ¿quiso decir {network}?")
            }
            Self::OnlyNegations => "from= sólo excluye y así no deja entrar a nadie; añada «*» o una red".to_owned(),
            Self::BadTime(t) => {
                format!("«{t}» no es una hora: AAAAMMDD, AAAAMMDDhhmm o AAAAMMDDhhmmss, con Z si es UTC")
            }
            Self::NoKey => "no hay una llave en esta línea".to_owned(),
            Self::KeyType(t) => {
                format!("no se aceptan llaves «{t}»; use ssh-ed25519 (ssh-keygen -t ed25519), ecdsa o RSA de 2048 bits o más")
            }
            Self::Damaged => "la llave está dañada o incompleta; vuelva a copiar la línea entera".to_owned(),
            Self::OtherType { named, found } => format!("la línea dice {named} y la llave es {found}"),
            Self::ShortRsa(bits) => format!("RSA de {bits} bits es demasiado corta; al menos 2048"),
            Self::PrivateKey => {
                "aquí hay una llave PRIVADA; bórrela de este servidor, considérela expuesta y ponga la pública (.pub)"
                    .to_owned()
            }
            Self::OtherFormat => "no está en formato OpenSSH; conviértala con ssh-keygen -i -f ARCHIVO".to_owned(),
            Self::Writable(mode) => format!("otros pueden escribir en él (modo {mode:04o}); chmod go-w"),
            Self::Owner(uid) => format!("pertenece al usuario {uid}; debe ser de root o de este servicio (chown)"),
            Self::NotAFile => "no es un archivo regular (enlace, directorio o dispositivo); se ignora".to_owned(),
            Self::Suffix => "se ignora porque su nombre no termina en .pub".to_owned(),
            Self::TooLarge => "es demasiado grande para ser de llaves públicas".to_owned(),
            Self::TooMany => "hay demasiados; el resto se ignora".to_owned(),
            Self::Unreadable(e) => format!("no se puede leer: {e}"),
        }
    }

    fn en(&self) -> String {
        match self {
            Self::UnknownOption(o) => {
                format!("unknown option '{o}': the key does not count (as in OpenSSH); correct or remove the option")
            }
            Self::Unsupported(o) => {
                format!("option '{o}' is not honoured here, so the key does not count; remove it")
            }
            Self::NoValue(o) => format!("'{o}' needs a quoted value: {o}=\"…\""),
            Self::Unclosed => "a quote is never closed".to_owned(),
            Self::AfterOption => "an option is followed by a comma or a blank".to_owned(),
            Self::Command(c) => {
                format!("command=\"{c}\" is none of our intakes; internal-sftp, rrsync -wo FOLDER, scp -t FOLDER, rsync --server …, cat > FILE and tar x… are")
            }
            Self::NoAuthority => {
                "principals= means something only with cert-authority; add that if the key signs certificates, or remove principals=".to_owned()
            }
            Self::Twice(o) => format!("'{o}' stands twice; write one list with commas"),
            Self::HostName(n) => {
                format!("'{n}' is a name; from= takes only addresses and networks (192.0.2.7, 192.0.2.0/24, 2001:db8::/32)")
            }
            Self::BadAddress(a) => format!("'{a}' is neither an address nor a network"),
            Self::HostBits { given, network } => {
                format!("'{given}' is not the start of a network; was {network} meant?")
            }
            Self::OnlyNegations => "from= only excludes and so lets nobody in; add '*' or a network".to_owned(),
            Self::BadTime(t) => {
                format!("'{t}' is not a time: YYYYMMDD, YYYYMMDDhhmm or YYYYMMDDhhmmss, with Z for UTC")
            }
            Self::NoKey => "there is no key on this line".to_owned(),
            Self::KeyType(t) => {
                format!("'{t}' keys are not accepted; use ssh-ed25519 (ssh-keygen -t ed25519), ecdsa or RSA of 2048 bits or more")
            }
            Self::Damaged => "the key is damaged or incomplete; copy the whole line again".to_owned(),
            Self::OtherType { named, found } => format!("the line says {named} and the key is {found}"),
            Self::ShortRsa(bits) => format!("RSA of {bits} bits is too short; at least 2048"),
            Self::PrivateKey => {
                "a PRIVATE key lies here; delete it from this server, hold it for exposed and put the public one (.pub)"
                    .to_owned()
            }
            Self::OtherFormat => "not in OpenSSH's form; convert it with ssh-keygen -i -f FILE".to_owned(),
            Self::Writable(mode) => format!("others may write to it (mode {mode:04o}); chmod go-w"),
            Self::Owner(uid) => format!("it belongs to user {uid}; it must be root's or this service's (chown)"),
            Self::NotAFile => "not a regular file (link, directory or device); ignored".to_owned(),
            Self::Suffix => "ignored because its name does not end in .pub".to_owned(),
            Self::TooLarge => "too large to hold public keys".to_owned(),
            Self::TooMany => "there are too many; the rest is ignored".to_owned(),
            Self::Unreadable(e) => format!("cannot be read: {e}"),
        }
    }
}
