//! The command line: verbs, options and their help, in Spanish; [`super::english`]
//! has the other language. Man pages and completions are made from this too.

mod night;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

pub(super) use night::{Affected, Alert, Format, Incidents, Monitor, Night, Notice, Which};

/// Recibe el sitio de resultados que envía el instituto, lo comprueba, lo publica de una sola vez y lo sirve por HTTPS
#[derive(Debug, Parser)]
#[command(
    name = "difusor",
    version,
    after_help = "Ejemplos:\n  difusor demo\n  difusor init /srv/prep --profile quintana-roo --domain prep.ejemplo.mx\n  difusor run --config /srv/prep/difusor.toml\n  difusor keys add --help\n\nSalidas: 0 hecho, 1 la respuesta es no, 2 orden mal escrita, 4 sin servicio, 6 no existe, 8 falló un archivo o el disco, 78 faltas en la configuración"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every verb; their order puts them behind the verb's own.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// Archivo de configuración [por omisión: difusor.toml aquí, si no /etc/difusor/difusor.toml]
    #[arg(long, short, global = true, value_name = "ARCHIVO", display_order = 900)]
    pub config: Option<PathBuf>,
    /// Respuesta en JSON por la salida estándar
    #[arg(long, global = true, display_order = 901)]
    pub json: bool,
    /// Idioma de ayuda y respuestas; por omisión el del sistema, si no español
    #[arg(long, global = true, value_name = "IDIOMA", display_order = 902)]
    pub lang: Option<Language>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    Es,
    En,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Demostración: una instancia desechable que se envía cortes a sí misma por SSH
    #[command(
        after_help = "Ejemplos:\n  difusor demo\n  difusor demo --cuts 3\n  difusor demo --every 10s --profile mini"
    )]
    Demo(Demo),
    /// Crea una instancia: configuración comentada y carpetas; nunca sobrescribe
    #[command(
        after_help = "Ejemplos:\n  difusor init /srv/prep --profile quintana-roo --domain prep.ejemplo.mx\n  difusor init . --profile durango --ssh 0.0.0.0:2222 --https 0.0.0.0:8443"
    )]
    Init(Init),
    /// El servicio completo: recibe y sirve
    #[command(after_help = "Ejemplos:\n  difusor run --config /srv/prep/difusor.toml")]
    Run,
    /// Solo la mitad que recibe, comprueba y publica
    #[command(after_help = "Ejemplos:\n  difusor receive --config /srv/prep/difusor.toml")]
    Receive,
    /// Solo la mitad que sirve a los lectores
    #[command(after_help = "Ejemplos:\n  difusor serve --config /srv/prep/difusor.toml")]
    Serve,
    /// Revisa configuración, llaves y carpetas; muestra todas las faltas de una vez (salida 78 si hay)
    #[command(
        after_help = "Ejemplos:\n  difusor check --config /srv/prep/difusor.toml\n  difusor check --json"
    )]
    Check,
    /// Lo que puede saberse antes de la noche: reloj, DNS, puertos, disco, llaves… (salida 1 si algo falla)
    #[command(
        after_help = "Ejemplos:\n  difusor doctor\n  difusor doctor --offline --json\n  difusor doctor --requirements durango\n  difusor doctor --firewall nft --admin 198.51.100.0/24 > reglas.nft"
    )]
    Doctor(Doctor),
    /// Qué se ve, qué espera y qué llegó al final
    #[command(after_help = "Ejemplos:\n  difusor status\n  difusor status --json")]
    Status,
    /// Cortes extraídos: ver, comprobar, volver atrás
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor releases list\n  difusor releases rollback --reason \"totales mal sumados\""
    )]
    Releases(Releases),
    /// El aviso del instituto en lugar de los resultados, por su orden
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor notice on --reason \"oficio 123\" --text aviso.txt\n  difusor notice off --reason \"oficio 124\""
    )]
    Notice(Notice),
    /// El ritmo de los cortes, y cuándo termina la noche
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor night show\n  difusor night close --reason \"el instituto avisó por teléfono\""
    )]
    Night(Night),
    /// Incidentes: qué pasó, cuándo, cuánto duró, qué se hizo
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor incidents list --open\n  difusor incidents note 3 \"se llamó al instituto a las 21:14\"\n  difusor incidents export --affected > incidentes.csv"
    )]
    Incidents(Incidents),
    /// Avisos a quien está de guardia: webhook, correo, programa
    #[command(subcommand, after_help = "Ejemplos:\n  difusor alert test")]
    Alert(Alert),
    /// Lo que ven los lectores, medido desde fuera
    #[command(subcommand, after_help = "Ejemplos:\n  difusor monitor show")]
    Monitor(Monitor),
    /// Publica a mano un paquete; queda asentado como del operador
    #[command(
        after_help = "Ejemplos:\n  difusor publish 20270606_2015_PREP.tar.gz --reason \"el enlace del instituto se cayó\""
    )]
    Publish(Publish),
    /// Llaves de confianza: quién puede enviar y desde dónde
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor keys add ieqroo --from 203.0.113.0/28 id_ed25519.pub\n  difusor keys list\n  difusor keys rotate ieqroo ieqroo-2 id_nueva.pub --overlap 2h\n  difusor keys revoke ieqroo\n  difusor keys host show"
    )]
    Keys(Keys),
    /// Redes de confianza: desde dónde se escucha a alguien
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor trust list\n  difusor trust add 203.0.113.0/28 --note \"oficina central\"\n  difusor trust remove 203.0.113.0/28"
    )]
    Trust(Trust),
    /// Dice qué haría una orden que el instituto manda por SSH, sin hacerla
    #[command(
        after_help = "Ejemplos:\n  difusor explain 'cd /var/www/html && tar xzf prep.tar.gz'\n  difusor explain 'mkdir -p paquetes; mv a.tmp a.tar.gz'"
    )]
    Explain(Explain),
    /// Un paquete en disco: veredicto o contenido, sin servicio
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor package verify 20270606_2015_PREP.tar.gz\n  difusor package inspect 20270606_2015_PREP.tar.gz"
    )]
    Package(Package),
    /// Paquetes realistas para ensayar
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor simulate packages --profile qroo --seed 7 --cuts 0..3 --out /tmp/noche"
    )]
    Simulate(Simulate),
    /// La bitácora encadenada
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor ledger list --last 20\n  difusor ledger verify\n  difusor ledger export > bitacora.jsonl"
    )]
    Ledger(Ledger),
    /// La bitácora de accesos de los lectores
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor log export --window jornada-2027/jornada --out accesos.log\n  difusor log export --from 2027-06-06T18:00 --to 2027-06-07T18:00 --out accesos.log"
    )]
    Log(Log),
    /// Quién consultó los resultados: visitas, páginas, accesos, visitantes
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor stats show\n  difusor stats show --window jornada-2027/jornada\n  difusor stats rebuild --check\n  difusor stats import --source cloudfront E2ABC*.gz"
    )]
    Stats(Stats),
    /// Prueba que paquete original = manifiesto = disco = lo que se sirve
    #[command(after_help = "Ejemplos:\n  difusor audit\n  difusor audit --url https://prep.ejemplo.mx")]
    Audit(Audit),
    /// Lee de nuevo la configuración sin detener nada; dice qué cambió y qué pide reinicio
    #[command(
        after_help = "Ejemplos:\n  difusor reload --config /srv/prep/difusor.toml\n  difusor reload --json"
    )]
    Reload,
    /// La página de guardia: cómo entrar
    #[command(subcommand, after_help = "Ejemplos:\n  difusor admin link\n  difusor admin link --json")]
    Admin(Admin),
    /// Si el servicio contesta: salida 0 o 1, para supervisores y contenedores
    #[command(
        after_help = "Ejemplos:\n  difusor healthcheck --config /srv/prep/difusor.toml\n  HEALTHCHECK CMD [\"difusor\", \"healthcheck\"]"
    )]
    Healthcheck,
    /// Memoria técnica y los demás informes que piden las convocatorias
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor report memoria --event jornada --format pdf\n  difusor report memoria --event jornada --format html,pdf,xlsx,csv,json --out informes/\n  difusor report interconnection --format pdf --out interconexion.pdf\n  difusor report drill --event simulacro --format pdf"
    )]
    Report(Report),
    /// Escribe las páginas de manual en una carpeta
    #[command(
        after_help = "Ejemplos:\n  difusor man /usr/local/share/man/es/man8\n  difusor man --lang en /usr/local/share/man/man8"
    )]
    Man(Man),
    /// Escribe el autocompletado de un intérprete
    #[command(
        after_help = "Ejemplos:\n  difusor completions bash > /etc/bash_completion.d/difusor\n  difusor completions zsh > /usr/local/share/zsh/site-functions/_difusor\n  difusor completions fish > ~/.config/fish/completions/difusor.fish"
    )]
    Completions(Completions),
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Termina solo después de este número de cortes
    #[arg(long, value_name = "N")]
    pub cuts: Option<u32>,
    /// Tiempo entre cortes
    #[arg(long, value_name = "TIEMPO", default_value = "5s")]
    pub every: String,
    /// Velocidad del enlace del instituto, en Mbit/s; 0 sin límite
    #[arg(long, value_name = "MBPS", default_value_t = 0)]
    pub speed: u64,
    /// Paquetes: qroo (33 MB, como los reales) o mini (rápido)
    #[arg(long, value_name = "PERFIL", default_value = "qroo")]
    pub profile: String,
    /// Semilla de los datos
    #[arg(long, value_name = "N", default_value_t = 2024)]
    pub seed: u64,
    /// Carpeta de la instancia; por omisión una temporal que se borra al final
    #[arg(long, value_name = "CARPETA")]
    pub dir: Option<PathBuf>,
    /// Puerto SSH
    #[arg(long, value_name = "PUERTO", default_value_t = 2222)]
    pub ssh: u16,
    /// Puerto HTTPS
    #[arg(long, value_name = "PUERTO", default_value_t = 8443)]
    pub https: u16,
    /// Puerto HTTP
    #[arg(long, value_name = "PUERTO", default_value_t = 8080)]
    pub http: u16,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Carpeta de la instancia
    #[arg(value_name = "CARPETA")]
    pub dir: PathBuf,
    /// Convocatoria: quintana-roo, durango, ine, nuevo-leon, tamaulipas
    #[arg(long, value_name = "PERFIL", default_value = "quintana-roo")]
    pub profile: String,
    /// Dirección de la puerta SSH
    #[arg(long, value_name = "DIRECCIÓN")]
    pub ssh: Option<SocketAddr>,
    /// Dirección del sitio
    #[arg(long, value_name = "DIRECCIÓN")]
    pub https: Option<SocketAddr>,
    /// Dirección que redirige a HTTPS
    #[arg(long, value_name = "DIRECCIÓN")]
    pub http: Option<SocketAddr>,
    /// Dirección del demonio rsync
    #[arg(long, value_name = "DIRECCIÓN")]
    pub rsync: Option<SocketAddr>,
    /// Nombre público del sitio
    #[arg(long, value_name = "NOMBRE")]
    pub domain: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// No preguntar nada a la red
    #[arg(long)]
    pub offline: bool,
    /// Dirección pública de esta máquina, para probar los puertos a través de ella; puede repetirse
    #[arg(long, value_name = "IP")]
    pub public: Vec<IpAddr>,
    /// Dirección del sitio como la escriben los lectores; por omisión https:// y el dominio
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// En vez de preguntar, mide la instancia con cada cláusula de una convocatoria
    #[arg(long, value_name = "PERFIL", conflicts_with = "firewall")]
    pub requirements: Option<String>,
    /// En vez de preguntar, escribe las reglas del cortafuegos
    #[arg(long, value_name = "PROGRAMA")]
    pub firewall: Option<Firewall>,
    /// Con --firewall: red desde la que usted administra esta máquina por el puerto 22; puede repetirse
    #[arg(long, value_name = "RED")]
    pub admin: Vec<IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Firewall {
    Nft,
    Ufw,
}

#[derive(Debug, Subcommand)]
pub(super) enum Releases {
    /// Todos los cortes extraídos
    #[command(after_help = "Ejemplos:\n  difusor releases list")]
    List,
    /// Un corte: de qué paquete salió, cuándo, cuántos archivos
    #[command(after_help = "Ejemplos:\n  difusor releases show 000012-20270606T2015-9f8e7d6c")]
    Show {
        /// El corte; sin él, el vigente
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Compara un corte en disco con su manifiesto (salida 1 si difiere)
    #[command(
        after_help = "Ejemplos:\n  difusor releases verify\n  difusor releases verify 000012-20270606T2015-9f8e7d6c"
    )]
    Verify {
        /// El corte; sin él, todos
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Vuelve a mostrar un corte anterior; sin ID, en una terminal, deja elegir
    #[command(
        after_help = "Ejemplos:\n  difusor releases rollback\n  difusor releases rollback --previous --hold 30m --reason \"totales mal sumados\"\n  difusor releases rollback 000011-20270606T2000-a1b2c3d4 --reason prueba"
    )]
    Rollback {
        /// El corte; sin él, se elige en la terminal
        #[arg(value_name = "ID", conflicts_with = "previous")]
        id: Option<String>,
        /// El anterior al vigente, sin preguntar
        #[arg(long)]
        previous: bool,
        /// Retiene lo que llegue durante este tiempo; sin él, el siguiente se publica como siempre
        #[arg(long, value_name = "TIEMPO")]
        hold: Option<String>,
        /// Motivo, para la bitácora; en la terminal se pregunta
        #[arg(long, value_name = "TEXTO")]
        reason: Option<String>,
    },
    /// Retiene lo que llegue: se comprueba y se guarda, pero no se publica hasta que venza
    #[command(
        after_help = "Ejemplos:\n  difusor releases hold --for 30m --reason \"se revisa con el instituto\""
    )]
    Hold {
        /// Cuánto dura
        #[arg(long = "for", value_name = "TIEMPO", default_value = "30m")]
        time: String,
        /// Motivo, para la bitácora
        #[arg(long, value_name = "TEXTO")]
        reason: String,
    },
    /// Termina la retención y publica lo más nuevo
    #[command(after_help = "Ejemplos:\n  difusor releases resume --reason \"ya coincide\"")]
    Resume {
        /// Motivo, para la bitácora
        #[arg(long, value_name = "TEXTO", default_value = "")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Publish {
    /// El paquete
    #[arg(value_name = "ARCHIVO")]
    pub file: PathBuf,
    /// Motivo, para la bitácora
    #[arg(long, value_name = "TEXTO", default_value = "")]
    pub reason: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Las llaves: huella, de dónde pueden venir, hasta cuándo, qué pueden y cuándo se usaron
    #[command(after_help = "Ejemplos:\n  difusor keys list\n  difusor keys list --json")]
    List,
    /// Agrega la llave pública de un instituto
    #[command(
        after_help = "Ejemplos:\n  difusor keys add ieqroo --from 203.0.113.0/28 id_ed25519.pub\n  difusor keys add ieqroo --from 203.0.113.5 --expires 2027-06-14 < id_ed25519.pub\n  difusor keys add espejo --from 203.0.113.6 --command \"rrsync -wo /sitio\" espejo.pub\n  difusor keys add instituto --from 203.0.113.0/28 --authority --principal prep ca.pub"
    )]
    Add {
        /// Nombre con el que aparecerá en la bitácora
        #[arg(value_name = "NOMBRE")]
        name: String,
        /// Red desde la que puede venir; puede repetirse
        #[arg(long, value_name = "RED", required = true)]
        from: Vec<IpNet>,
        /// Desde cuándo ya no vale, por ejemplo 2027-06-14
        #[arg(long, value_name = "FECHA")]
        expires: Option<String>,
        /// La única entrada que puede usar: internal-sftp, "rrsync -wo /sitio", "scp -t /paquetes"…
        #[arg(long, value_name = "ORDEN")]
        command: Option<String>,
        /// Es una autoridad: valen los certificados de usuario que firme
        #[arg(long)]
        authority: bool,
        /// Nombre que debe traer un certificado de la autoridad; puede repetirse
        #[arg(long, value_name = "NOMBRE", requires = "authority")]
        principal: Vec<String>,
        /// Archivo .pub; sin él, la entrada estándar
        #[arg(value_name = "ARCHIVO")]
        file: Option<PathBuf>,
    },
    /// Confía en una llave nueva como en la vieja, y da a la vieja un fin: ambas valen mientras tanto
    #[command(
        after_help = "Ejemplos:\n  difusor keys rotate ieqroo ieqroo-2 id_nueva.pub --overlap 2h\n  difusor keys rotate ieqroo id_nueva.pub --overlap 2d"
    )]
    Rotate {
        /// Nombre o huella de la llave que se va
        #[arg(value_name = "NOMBRE|HUELLA")]
        old: String,
        /// Nombre de la que llega, o directamente su archivo .pub
        #[arg(value_name = "NOMBRE|ARCHIVO")]
        new: String,
        /// Archivo .pub; sin él, la entrada estándar
        #[arg(value_name = "ARCHIVO")]
        file: Option<PathBuf>,
        /// Cuánto valen ambas
        #[arg(long, value_name = "TIEMPO", default_value = "2h")]
        overlap: String,
    },
    /// Pone contraseña a un usuario (se lee de la entrada estándar); sólo vale con ssh.passwords y desde trust.networks
    #[command(
        after_help = "Ejemplos:\n  difusor keys password iepc\n  difusor keys password iepc < clave.txt\n  difusor keys password iepc --remove"
    )]
    Password {
        /// Usuario
        #[arg(value_name = "NOMBRE")]
        user: String,
        /// Se la quita, y termina sus sesiones
        #[arg(long)]
        remove: bool,
    },
    /// Las llaves por las que los clientes conocen a este servidor
    #[command(
        subcommand,
        after_help = "Ejemplos:\n  difusor keys host show\n  difusor keys host rotate\n  difusor keys host rotate --switch"
    )]
    Host(KeysHost),
    /// Quita una llave y termina sus sesiones
    #[command(after_help = "Ejemplos:\n  difusor keys revoke ieqroo\n  difusor keys revoke SHA256:uVd3…")]
    Revoke {
        /// Nombre o huella
        #[arg(value_name = "NOMBRE|HUELLA")]
        which: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysHost {
    /// Huella, línea de known_hosts y registro SSHFP de cada una
    #[command(after_help = "Ejemplos:\n  difusor keys host show\n  difusor keys host show --json")]
    Show,
    /// Prepara la llave siguiente y la anuncia a los clientes (UpdateHostKeys); con --switch la pone en uso
    #[command(after_help = "Ejemplos:\n  difusor keys host rotate\n  difusor keys host rotate --switch")]
    Rotate {
        /// Pone en uso la llave preparada; la anterior queda en keys/host/old
        #[arg(long)]
        switch: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Trust {
    /// Las redes, sus notas y hasta cuándo
    #[command(after_help = "Ejemplos:\n  difusor trust list\n  difusor trust list --json")]
    List,
    /// Agrega una red al archivo de configuración; en vigor en un segundo
    #[command(
        after_help = "Ejemplos:\n  difusor trust add 203.0.113.0/28 --note \"oficina central\"\n  difusor trust add 2001:db8:17::/48 --expires 2027-06-14"
    )]
    Add {
        /// Red o dirección, IPv4 o IPv6
        #[arg(value_name = "RED")]
        net: IpNetOrAddr,
        /// De quién es
        #[arg(long, value_name = "TEXTO")]
        note: Option<String>,
        /// Desde cuándo ya no vale, por ejemplo 2027-06-14
        #[arg(long, value_name = "FECHA")]
        expires: Option<String>,
    },
    /// Quita una red y termina las sesiones que vienen de ella
    #[command(after_help = "Ejemplos:\n  difusor trust remove 203.0.113.0/28")]
    Remove {
        /// Red, como en la lista
        #[arg(value_name = "RED")]
        net: IpNetOrAddr,
    },
}

/// A network; an address is a network of full length.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpNetOrAddr(pub(super) IpNet);

impl std::str::FromStr for IpNetOrAddr {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<IpAddr>() {
            Ok(addr) => Ok(Self(addr.into())),
            Err(_) => text.parse().map(Self),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// La orden, entre comillas
    #[arg(value_name = "ORDEN")]
    pub command: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Package {
    /// Solo el veredicto: una línea JSON y salida 0 o 1
    #[command(
        after_help = "Ejemplos:\n  difusor package verify 20270606_2015_PREP.tar.gz\n  difusor package verify p.zip --config /srv/prep/difusor.toml"
    )]
    Verify {
        /// El paquete
        #[arg(value_name = "ARCHIVO")]
        file: PathBuf,
    },
    /// Qué hay dentro
    #[command(after_help = "Ejemplos:\n  difusor package inspect 20270606_2015_PREP.tar.gz")]
    Inspect {
        /// El paquete
        #[arg(value_name = "ARCHIVO")]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Simulate {
    /// Escribe los paquetes de una noche, idénticos en cualquier máquina, con sus manifiestos
    #[command(
        after_help = "Ejemplos:\n  difusor simulate packages --profile qroo --seed 7 --cuts 0..3 --out /tmp/noche\n  difusor simulate packages --profile mini --cuts 0..9 --fault truncate-gz@4 --out /tmp/noche"
    )]
    Packages(Packages),
}

#[derive(Debug, Args)]
pub(super) struct Packages {
    /// Clase de paquete: qroo, ine, ine-mini, tamps, dgo, nl o mini
    #[arg(long, value_name = "PERFIL", default_value = "qroo")]
    pub profile: String,
    /// Semilla
    #[arg(long, value_name = "N", default_value_t = 2024)]
    pub seed: u64,
    /// Cortes, del primero al último inclusive, por ejemplo 0..96
    #[arg(long, value_name = "A..B", default_value = "0..0")]
    pub cuts: String,
    /// Proceso: jornada, simulacro1, simulacro2 o simulacro3
    #[arg(long, value_name = "PROCESO", default_value = "jornada")]
    pub process: String,
    /// Hora del primer corte
    #[arg(long, value_name = "FECHA-HORA", default_value = "2024-06-02T20:00")]
    pub start: String,
    /// Zona IANA; por omisión la del perfil
    #[arg(long, value_name = "ZONA")]
    pub tz: Option<String>,
    /// Tiempo entre cortes; por omisión el del perfil
    #[arg(long, value_name = "TIEMPO")]
    pub interval: Option<String>,
    /// Curva de llegada: qroo2019, late o guerrero
    #[arg(long, value_name = "CURVA", default_value = "qroo2019")]
    pub curve: String,
    /// Fallas, separadas por comas, por ejemplo truncate-gz@4,bad-json@5
    #[arg(long, value_name = "FALLA@CORTE", value_delimiter = ',')]
    pub fault: Vec<String>,
    /// Carpeta de salida
    #[arg(long, value_name = "CARPETA")]
    pub out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Las líneas, de la más antigua a la más nueva
    #[command(after_help = "Ejemplos:\n  difusor ledger list\n  difusor ledger list --last 20")]
    List {
        /// Solo las últimas
        #[arg(long, value_name = "N")]
        last: Option<usize>,
    },
    /// Comprueba la cadena (salida 1 y la línea, si alguien la tocó)
    #[command(after_help = "Ejemplos:\n  difusor ledger verify\n  difusor ledger verify --json")]
    Verify,
    /// Copia la bitácora, comprobada, a la salida estándar
    #[command(after_help = "Ejemplos:\n  difusor ledger export > bitacora.jsonl")]
    Export,
}

#[derive(Debug, Subcommand)]
pub(super) enum Log {
    /// Copia las líneas de una ventana a un archivo nuevo, con su SHA-256 al lado
    #[command(
        after_help = "Ejemplos:\n  difusor log export --window jornada-2027/jornada --out accesos.log\n  difusor log export --from 2027-06-06T18:00 --to 2027-06-07T18:00 --out accesos.log"
    )]
    Export {
        #[command(flatten)]
        window: WindowOf,
        /// Archivo nuevo
        #[arg(long, value_name = "ARCHIVO")]
        out: PathBuf,
    },
}

/// A window by its name or by its ends; without either, today.
#[derive(Debug, Args)]
pub(super) struct WindowOf {
    /// Ventana por su nombre: difusor stats windows
    #[arg(long, value_name = "NOMBRE", conflicts_with_all = ["from", "to"])]
    pub window: Option<String>,
    /// Primer segundo, por ejemplo 2027-06-06T18:00; por omisión hoy a las 0:00
    #[arg(long, value_name = "FECHA-HORA")]
    pub from: Option<String>,
    /// Primer segundo que ya no entra; por omisión mañana a las 0:00
    #[arg(long, value_name = "FECHA-HORA")]
    pub to: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Stats {
    /// Las cifras de una ventana
    #[command(
        after_help = "Ejemplos:\n  difusor stats show\n  difusor stats show --window jornada-2027/jornada\n  difusor stats show --from 2027-06-06T18:00 --to 2027-06-07T18:00 --json"
    )]
    Show {
        #[command(flatten)]
        window: WindowOf,
        /// Una importación en vez de la bitácora propia
        #[arg(long, value_name = "NOMBRE")]
        source: Option<String>,
    },
    /// Las mismas cifras en CSV y JSON, por hora, día y página, con sus sumas
    #[command(after_help = "Ejemplos:\n  difusor stats export --window jornada-2027/jornada --out anexo")]
    Export {
        #[command(flatten)]
        window: WindowOf,
        /// Una importación en vez de la bitácora propia
        #[arg(long, value_name = "NOMBRE")]
        source: Option<String>,
        /// Carpeta de salida
        #[arg(long, value_name = "CARPETA")]
        out: PathBuf,
    },
    /// Las ventanas que tienen nombre: las de la convocatoria y las de [[stats.window]]
    #[command(after_help = "Ejemplos:\n  difusor stats windows")]
    Windows,
    /// Vuelve a contar todo desde las bitácoras y lo compara con lo contado en vivo
    #[command(after_help = "Ejemplos:\n  difusor stats rebuild --check\n  difusor stats rebuild")]
    Rebuild {
        /// Solo comparar (salida 1 si no es igual)
        #[arg(long)]
        check: bool,
    },
    /// Toma bitácoras de una CDN o de otro servidor como fuente aparte: CloudFront, Cloudflare o formato combinado
    #[command(
        after_help = "Ejemplos:\n  difusor stats import --source cloudfront E2ABC*.gz\n  difusor stats import --source nodo-b accesos.log"
    )]
    Import {
        /// Nombre de la fuente; lo que ya tiene no se cuenta dos veces
        #[arg(long, value_name = "NOMBRE")]
        source: String,
        /// Archivos, también en gzip
        #[arg(value_name = "ARCHIVO", required = true)]
        files: Vec<PathBuf>,
    },
    /// Toma las cifras habituales del portal, para compararlas: fecha, y visitas, paginas o hits
    #[command(
        after_help = "Ejemplos:\n  difusor stats import-baseline --name portal --origin \"AWStats del portal, mayo\" portal.csv"
    )]
    ImportBaseline {
        /// Cómo se llama
        #[arg(long, value_name = "NOMBRE")]
        name: String,
        /// De dónde salen las cifras, para el informe
        #[arg(long, value_name = "TEXTO")]
        origin: String,
        /// La tabla
        #[arg(value_name = "ARCHIVO")]
        file: PathBuf,
    },
    /// Las cifras que darían GoAccess y AWStats de la misma bitácora, con sus definiciones
    #[command(after_help = "Ejemplos:\n  difusor stats crosscheck")]
    Crosscheck {
        /// Una importación en vez de la bitácora propia
        #[arg(long, value_name = "NOMBRE")]
        source: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// Dirección pública que se comprueba también, archivo por archivo
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Admin {
    /// Un enlace que abre la página una sola vez, en los próximos 10 minutos
    #[command(after_help = "Ejemplos:\n  difusor admin link\n  difusor admin link --json")]
    Link,
}

#[derive(Debug, Subcommand)]
pub(super) enum Report {
    /// La memoria técnica: cortes, consulta, incidencias y disponibilidad, con las ventanas de la convocatoria
    #[command(
        after_help = "Ejemplos:\n  difusor report memoria --event jornada --format pdf --out memoria.pdf\n  difusor report memoria --event jornada --format html,xlsx,csv --out informes/ --tables\n  difusor report memoria --from 2027-06-06T18:00 --to 2027-06-07T18:00 --format json --out -\n  difusor report memoria --event jornada --template formato.md --comments comentarios.txt"
    )]
    Memoria(OfWindow),
    /// Lo que el instituto necesita para enviar: puertas, rutas, huellas, direcciones y órdenes
    #[command(
        after_help = "Ejemplos:\n  difusor report interconnection --format pdf --out interconexion.pdf\n  difusor report interconnection --format json --out -"
    )]
    Interconnection(OfInstance),
    /// El diagrama del servicio, sus puertas y su capacidad
    #[command(after_help = "Ejemplos:\n  difusor report architecture --format pdf --out arquitectura.pdf")]
    Architecture(OfInstance),
    /// Disponibilidad por hora, día y mes, y tiempos de respuesta
    #[command(
        after_help = "Ejemplos:\n  difusor report availability --event jornada --format pdf\n  difusor report availability --from 2027-06-06T20:00 --to 2027-06-07T20:00 --format json --out -"
    )]
    Availability(OfWindow),
    /// Participación en un simulacro: cortes esperados, recibidos y tarde, transferencias
    #[command(after_help = "Ejemplos:\n  difusor report drill --event simulacro-1 --format pdf")]
    Drill(OfWindow),
    /// Contactos, personal, evidencias y estimación; lo que falte es un error que nombra la cláusula
    #[command(after_help = "Ejemplos:\n  difusor report dossier --format xlsx --out expediente.xlsx")]
    Dossier(OfInstance),
    /// Escribe una plantilla propia por la salida estándar, para cambiarla
    #[command(after_help = "Ejemplos:\n  difusor report template memoria > formato.md")]
    Template {
        /// El informe: memoria, interconnection, architecture, availability, drill o dossier
        #[arg(value_name = "INFORME")]
        report: String,
    },
}

/// A report of a stretch of time.
#[derive(Debug, Args)]
pub(super) struct OfWindow {
    /// Evento por su nombre o clase (jornada, simulacro); por omisión el último de su clase
    #[arg(long, value_name = "EVENTO")]
    pub event: Option<String>,
    /// En vez de un evento: desde esta hora, incluida
    #[arg(long, value_name = "FECHA-HORA", requires = "to")]
    pub from: Option<String>,
    /// En vez de un evento: hasta esta hora, sin incluirla
    #[arg(long, value_name = "FECHA-HORA", requires = "from")]
    pub to: Option<String>,
    /// Hora hasta la que se tiene en cuenta la bitácora; por omisión la de su última línea
    #[arg(long, value_name = "FECHA-HORA")]
    pub as_of: Option<String>,
    /// Archivo de texto con comentarios y sugerencias, en vez del de la configuración
    #[arg(long, value_name = "ARCHIVO")]
    pub comments: Option<PathBuf>,
    #[command(flatten)]
    pub form: Form,
}

/// A report of the configuration alone.
#[derive(Debug, Args)]
pub(super) struct OfInstance {
    #[command(flatten)]
    pub form: Form,
}

/// What every report may be given in.
#[derive(Debug, Args)]
pub(super) struct Form {
    /// Formatos, separados por comas: html, pdf, xlsx, csv, json
    #[arg(long, value_name = "FORMATO", value_delimiter = ',', default_value = "html")]
    pub format: Vec<String>,
    /// Archivo o carpeta de salida; - es la salida estándar; por omisión un archivo aquí
    #[arg(long, value_name = "RUTA")]
    pub out: Option<PathBuf>,
    /// Plantilla propia o del instituto (.md da todos los formatos; otra, un solo archivo)
    #[arg(long, value_name = "ARCHIVO")]
    pub template: Option<PathBuf>,
    /// También cada tabla en su propio CSV
    #[arg(long)]
    pub tables: bool,
    /// Salir con error si falta un dato que pide la convocatoria
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Carpeta de salida
    #[arg(value_name = "CARPETA")]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// El intérprete
    #[arg(value_name = "INTÉRPRETE")]
    pub shell: clap_complete::Shell,
}
