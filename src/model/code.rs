//! Why something was refused: stable codes, their stage, and what to tell people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Lang, Stage};

/// What there is to say about one code.
struct Row {
    code: Code,
    name: &'static str,
    stage: Stage,
    what: [&'static str; 2],
    todo: [&'static str; 2],
}

/// One line per code: variant, name, stage, what is wrong (es, en), what to do (es, en).
macro_rules! codes {
    ($($variant:ident $name:literal $stage:ident: $es:literal | $en:literal => $todo_es:literal | $todo_en:literal;)*) => {
        /// A stable reason. The name never changes once published: ledger, reports
        /// and the institute's scripts rely on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`: ", $en, ".")] $variant,)*
        }

        const TABLE: &[Row] = &[$(Row {
            code: Code::$variant,
            name: $name,
            stage: Stage::$stage,
            what: [$es, $en],
            todo: [$todo_es, $todo_en],
        }),*];
    };
}

codes! {
    PathTraversal "PATH_TRAVERSAL" Extraction: "el nombre sale del sitio con «..»" | "the name leaves the site through '..'" => "empaquete desde la carpeta del sitio, sin rutas con «..»" | "pack from inside the site folder, without '..'";
    PathAbsolute "PATH_ABSOLUTE" Extraction: "el nombre es una ruta absoluta" | "the name is an absolute path" => "empaquete con rutas relativas (tar -C carpeta .)" | "pack relative paths (tar -C folder .)";
    PathBadChar "PATH_BAD_CHAR" Extraction: "el nombre lleva caracteres no permitidos" | "the name holds characters that are not allowed" => "renombre el archivo" | "rename the file";
    PathNotUtf8 "PATH_NOT_UTF8" Extraction: "el nombre no es UTF-8" | "the name is not UTF-8" => "empaquete con nombres en UTF-8" | "pack with UTF-8 names";
    PathNotNfc "PATH_NOT_NFC" Extraction: "el nombre no está en la forma Unicode NFC" | "the name is not in Unicode form NFC" => "renombre el archivo con acentos compuestos (NFC)" | "rename the file with composed accents (NFC)";
    PathTooLong "PATH_TOO_LONG" Extraction: "el nombre es demasiado largo" | "the name is too long" => "acorte la ruta" | "shorten the path";
    PathTooDeep "PATH_TOO_DEEP" Extraction: "hay demasiadas carpetas anidadas" | "too many nested folders" => "reduzca los niveles de carpetas" | "use fewer folder levels";
    PathEmpty "PATH_EMPTY" Extraction: "el nombre está vacío" | "the name is empty" => "vuelva a empaquetar el sitio" | "pack the site again";
    PathDotfile "PATH_DOTFILE" Extraction: "la ruta está reservada" | "the path is reserved" => "quite esa carpeta del paquete" | "remove that folder from the package";
    NameCollision "NAME_COLLISION" Extraction: "dos nombres chocan entre sí o solo difieren en mayúsculas" | "two names clash or differ only in case" => "deje un solo archivo con ese nombre" | "leave one file of that name";
    DuplicateEntry "DUPLICATE_ENTRY" Extraction: "el archivo aparece dos veces" | "the file appears twice" => "vuelva a empaquetar; no agregue al final de un tar existente" | "pack again; do not append to an existing tar";
    EntryType "ENTRY_TYPE" Extraction: "la entrada no es archivo ni carpeta (enlace, dispositivo…)" | "the entry is neither file nor folder (link, device…)" => "empaquete con tar --dereference o quite la entrada" | "pack with tar --dereference or remove the entry";
    Entries "ENTRIES" Extraction: "hay demasiadas entradas" | "too many entries" => "reduzca el paquete o pida ampliar limits.entries" | "shrink the package or ask for a larger limits.entries";
    SizeFile "SIZE_FILE" Extraction: "un archivo rebasa el tamaño permitido" | "a file is larger than allowed" => "reduzca el archivo o pida ampliar limits.file-size" | "shrink the file or ask for a larger limits.file-size";
    SizeTotal "SIZE_TOTAL" Extraction: "el contenido rebasa el tamaño permitido" | "the content is larger than allowed" => "reduzca el paquete o pida ampliar limits.unpacked-size" | "shrink the package or ask for a larger limits.unpacked-size";
    SizePackage "SIZE_PACKAGE" Transfer: "el paquete rebasa el tamaño permitido" | "the package is larger than allowed" => "reduzca el paquete o pida ampliar limits.package-size" | "shrink the package or ask for a larger limits.package-size";
    SizeMismatch "SIZE_MISMATCH" Integrity: "el tamaño declarado no coincide con los datos" | "the declared size does not match the data" => "genere y envíe de nuevo el paquete" | "make and send the package again";
    HeaderBad "HEADER_BAD" Integrity: "una cabecera está dañada" | "a header is damaged" => "genere y envíe de nuevo el paquete" | "make and send the package again";
    HeaderChecksum "HEADER_CHECKSUM" Integrity: "la suma de una cabecera tar no coincide" | "the checksum of a tar header does not match" => "genere y envíe de nuevo el paquete" | "make and send the package again";
    HeaderAmbiguous "HEADER_AMBIGUOUS" Integrity: "una cabecera puede leerse de dos maneras" | "a header can be read in two ways" => "empaquete con GNU tar o bsdtar" | "pack with GNU tar or bsdtar";
    PaxKey "PAX_KEY" Integrity: "un registro PAX no está permitido" | "a PAX record is not allowed" => "empaquete con tar --format=gnu" | "pack with tar --format=gnu";
    PaxMalformed "PAX_MALFORMED" Integrity: "un registro PAX está mal formado" | "a PAX record is malformed" => "genere y envíe de nuevo el paquete" | "make and send the package again";
    PaxAmbiguous "PAX_AMBIGUOUS" Integrity: "los registros PAX se contradicen" | "the PAX records contradict each other" => "empaquete con tar --format=gnu" | "pack with tar --format=gnu";
    PaxTooBig "PAX_TOO_BIG" Integrity: "los registros PAX son demasiado grandes" | "the PAX records are too big" => "empaquete con tar --format=gnu" | "pack with tar --format=gnu";
    TarTrailing "TAR_TRAILING" Integrity: "hay datos después del fin del tar" | "there is data after the end of the tar" => "genere y envíe de nuevo el paquete" | "make and send the package again";
    GzipCrc "GZIP_CRC" Integrity: "la suma CRC del gzip no coincide: los datos se dañaron" | "the gzip CRC does not match: the data was damaged" => "envíe de nuevo el paquete" | "send the package again";
    GzipTrailing "GZIP_TRAILING" Integrity: "hay datos después del fin del gzip" | "there is data after the end of the gzip" => "genere y envíe de nuevo el paquete" | "make and send the package again";
    Truncated "TRUNCATED" Integrity: "el paquete está incompleto" | "the package is incomplete" => "envíe de nuevo el paquete completo" | "send the whole package again";
    FormatMismatch "FORMAT_MISMATCH" Integrity: "el contenido no es del formato que dice el nombre" | "the content is not of the format that the name says" => "envíe un .tar.gz, .tar, .tar.zst o .zip con su nombre correcto" | "send a .tar.gz, .tar, .tar.zst or .zip under its right name";
    Empty "EMPTY" Integrity: "el paquete no contiene archivos" | "the package holds no files" => "genere de nuevo el paquete" | "make the package again";
    ZipOverlap "ZIP_OVERLAP" Integrity: "las entradas del zip se enciman" | "the entries of the zip overlap" => "genere de nuevo el zip" | "make the zip again";
    ZipMismatch "ZIP_MISMATCH" Integrity: "el directorio del zip contradice a sus entradas" | "the zip directory contradicts its entries" => "genere de nuevo el zip" | "make the zip again";
    ZipAmbiguous "ZIP_AMBIGUOUS" Integrity: "el zip puede leerse de dos maneras" | "the zip can be read in two ways" => "genere de nuevo el zip" | "make the zip again";
    ZipPrefix "ZIP_PREFIX" Integrity: "hay datos antes del zip" | "there is data before the zip" => "genere de nuevo el zip" | "make the zip again";
    ZipTrailing "ZIP_TRAILING" Integrity: "hay datos después del zip" | "there is data after the zip" => "genere de nuevo el zip" | "make the zip again";
    ZipEncrypted "ZIP_ENCRYPTED" Integrity: "el zip está cifrado" | "the zip is encrypted" => "envíe el zip sin contraseña" | "send the zip without a password";
    ZipMethod "ZIP_METHOD" Integrity: "el zip usa un método de compresión no admitido" | "the zip uses an unsupported compression method" => "comprima con deflate" | "compress with deflate";
    ZipCrc "ZIP_CRC" Integrity: "la suma CRC de un archivo del zip no coincide" | "the CRC of a file in the zip does not match" => "envíe de nuevo el paquete" | "send the package again";
    ZipHidden "ZIP_HIDDEN" Integrity: "hay datos ocultos entre las entradas del zip" | "there is hidden data between the entries of the zip" => "genere de nuevo el zip" | "make the zip again";
    ZipBad "ZIP_BAD" Integrity: "el zip está dañado" | "the zip is damaged" => "genere y envíe de nuevo el paquete" | "make and send the package again";
    RequiredMissing "REQUIRED_MISSING" Integrity: "falta un archivo obligatorio" | "a required file is missing" => "incluya el archivo en el paquete" | "include the file in the package";
    RequiredEmpty "REQUIRED_EMPTY" Integrity: "un archivo obligatorio está vacío o le falta lo que debe llevar" | "a required file is empty or lacks what it must hold" => "revise el archivo y envíe de nuevo" | "mend the file and send again";
    JsonInvalid "JSON_INVALID" Integrity: "un JSON no se puede leer" | "a JSON file does not parse" => "genere de nuevo los datos y envíe el paquete" | "make the data again and send the package";
    WrongElection "WRONG_ELECTION" Integrity: "el paquete es de otro proceso" | "the package belongs to another process" => "envíe el paquete de esta elección" | "send the package of this election";
    CutInFuture "CUT_IN_FUTURE" Publication: "la hora del corte está en el futuro" | "the hour of the cut lies in the future" => "revise la hora del corte y el reloj" | "check the hour of the cut and the clock";
    CutOlder "CUT_OLDER" Publication: "el corte es anterior al publicado; se guardó sin publicarlo" | "the cut is older than the one published; it was stored, not published" => "si debe publicarse, pídalo al operador del difusor" | "if it must be shown, ask the operator of the difusor";
    SidecarMismatch "SIDECAR_MISMATCH" Integrity: "la suma enviada no coincide con el paquete" | "the checksum sent does not match the package" => "genere de nuevo la suma y envíe ambos" | "make the checksum again and send both";
    TransferIncomplete "TRANSFER_INCOMPLETE" Transfer: "la transferencia no terminó" | "the transfer did not finish" => "vuelva a enviar; si su cliente puede, continuará donde quedó" | "send again; a client that can resume will go on from there";
    NoSpace "NO_SPACE" Transfer: "no hay espacio en disco en el difusor" | "the difusor has no disk space left" => "avise al operador del difusor y vuelva a enviar" | "tell the operator of the difusor and send again";
    NoInodes "NO_INODES" Extraction: "no hay inodos libres en el difusor" | "the difusor has no free inodes left" => "avise al operador del difusor y vuelva a enviar" | "tell the operator of the difusor and send again";
    NameForeign "NAME_FOREIGN" Transfer: "el nombre no corresponde a un paquete" | "the name is not that of a package" => "use el nombre acordado para los paquetes" | "use the agreed name for packages";
    TreeBusy "TREE_BUSY" Transfer: "otra transmisión está cambiando el sitio" | "another transfer is changing the site" => "espere a que termine y vuelva a enviar" | "wait until it ends and send again";
    StoreFailed "STORE_FAILED" Extraction: "el difusor no pudo guardar los archivos" | "the difusor could not store the files" => "avise al operador del difusor y vuelva a enviar" | "tell the operator of the difusor and send again";
    LedgerFailed "LEDGER_FAILED" Publication: "el difusor no pudo asentar la bitácora" | "the difusor could not write its ledger" => "avise al operador del difusor y vuelva a enviar" | "tell the operator of the difusor and send again";
    Held "HELD" Publication: "la publicación está retenida por el operador" | "publication is held by the operator" => "comuníquese con el operador del difusor" | "get in touch with the operator of the difusor";
}

impl Code {
    /// Every code, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.code)
    }

    /// The stable name, such as `PATH_TRAVERSAL`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Where in the path of a package this is found.
    pub fn stage(self) -> Stage {
        self.row().stage
    }

    /// What is wrong, as a sentence without capital or period.
    pub fn what(self, lang: Lang) -> &'static str {
        let [es, en] = self.row().what;
        lang.pick(es, en)
    }

    /// What the sender should do about it, in the imperative.
    pub fn todo(self, lang: Lang) -> &'static str {
        let [es, en] = self.row().todo;
        lang.pick(es, en)
    }

    #[expect(clippy::indexing_slicing, reason = "one row per variant, made by the same macro")]
    fn row(self) -> &'static Row {
        // The macro makes enum and table from the same lines, in one order.
        &TABLE[self as usize]
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().find(|c| c.name() == name).ok_or_else(|| format!("unknown code {name}"))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_by_its_name() {
        for code in Code::all() {
            assert_eq!(code.name().parse(), Ok(code));
        }
    }
}
