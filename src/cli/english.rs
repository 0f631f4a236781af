//! The command line in English, by its Spanish text.

use clap::Command;

mod night;

/// The same command line, explained in English.
pub(super) fn translate(command: Command) -> Command {
    let mut command = command;
    if let Some(text) = command.get_about().and_then(|t| english(&t.to_string())) {
        command = command.about(text);
    }
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        command = command
            .after_help(WORDS.iter().chain(night::WORDS).fold(text, |text, (es, en)| text.replace(es, en)));
    }
    command = command.mut_args(|arg| {
        let help = arg.get_help().and_then(|t| english(&t.to_string()));
        let value = value_name(&super::usage::value_of(&arg));
        let arg = if super::usage::takes_value(&arg) { arg.value_name(value) } else { arg };
        match help {
            Some(text) => arg.help(text),
            None => arg,
        }
    });
    command.mut_subcommands(translate)
}

fn english(spanish: &str) -> Option<&'static str> {
    TEXTS.iter().chain(night::TEXTS).find(|(es, _)| *es == spanish).map(|(_, en)| *en)
}

fn value_name(spanish: &str) -> String {
    VALUES.iter().chain(night::VALUES).find(|(es, _)| *es == spanish).map_or(spanish, |(_, en)| en).to_owned()
}

/// Names of values. What is the same in both languages is here too: a test wants each.
const VALUES: &[(&str, &str)] = &[
    ("ARCHIVO", "FILE"),
    ("IDIOMA", "LANGUAGE"),
    ("N", "N"),
    ("TIEMPO", "TIME"),
    ("MBPS", "MBPS"),
    ("PERFIL", "PROFILE"),
    ("CARPETA", "FOLDER"),
    ("PUERTO", "PORT"),
    ("DIRECCIÓN", "ADDRESS"),
    ("NOMBRE", "NAME"),
    ("ID", "ID"),
    ("TEXTO", "TEXT"),
    ("RED", "NETWORK"),
    ("FECHA", "DATE"),
    ("NOMBRE|HUELLA", "NAME|FINGERPRINT"),
    ("NOMBRE|ARCHIVO", "NAME|FILE"),
    ("ORDEN", "COMMAND"),
    ("A..B", "A..B"),
    ("PROCESO", "PROCESS"),
    ("FECHA-HORA", "DATE-TIME"),
    ("ZONA", "ZONE"),
    ("CURVA", "CURVE"),
    ("FALLA@CORTE", "FAULT@CUT"),
    ("URL", "URL"),
    ("INTÉRPRETE", "SHELL"),
    ("IP", "IP"),
    ("PROGRAMA", "PROGRAM"),
    ("INFORME", "REPORT"),
    ("EVENTO", "EVENT"),
    ("FORMATO", "FORMAT"),
    ("RUTA", "PATH"),
];

/// What is Spanish in the examples.
const WORDS: &[(&str, &str)] = &[
    ("Ejemplos:", "Examples:"),
    (
        "Salidas: 0 hecho, 1 la respuesta es no, 2 orden mal escrita, 4 sin servicio, 6 no existe, 8 falló un archivo o el disco, 78 faltas en la configuración",
        "Exits: 0 done, 1 the answer is no, 2 wrong usage, 4 no service, 6 not found, 8 a file or the disk failed, 78 faults in the configuration",
    ),
    ("prep.ejemplo.mx", "prep.example.mx"),
    ("el enlace del instituto se cayó", "the institute's link is down"),
    ("totales mal sumados", "totals added up wrong"),
    ("--reason prueba", "--reason rehearsal"),
    ("/tmp/noche", "/tmp/night"),
    ("id_nueva.pub", "id_new.pub"),
    ("keys add espejo", "keys add mirror"),
    ("espejo.pub", "mirror.pub"),
    ("keys add instituto", "keys add institute"),
    ("clave.txt", "password.txt"),
    ("oficina central", "head office"),
    ("--out informes/", "--out reports/"),
    ("interconexion.pdf", "interconnection.pdf"),
    ("arquitectura.pdf", "architecture.pdf"),
    ("expediente.xlsx", "dossier.xlsx"),
    ("formato.md", "format.md"),
    ("comentarios.txt", "comments.txt"),
    ("bitacora.jsonl", "ledger.jsonl"),
    ("reglas.nft", "rules.nft"),
    ("accesos.log", "access.log"),
    ("nodo-b", "node-b"),
    ("--out anexo", "--out annex"),
    ("AWStats del portal, mayo", "AWStats of the portal, May"),
    // In Spanish the pages go where man looks for Spanish ones.
    ("man --lang en /usr/local/share/man/man8", "man /usr/local/share/man/man8"),
    ("man /usr/local/share/man/es/man8", "man --lang es /usr/local/share/man/es/man8"),
];

const TEXTS: &[(&str, &str)] = &[
    (
        "Memoria técnica y los demás informes que piden las convocatorias",
        "The technical report (memoria técnica) and the others that the calls ask for",
    ),
    (
        "La memoria técnica: cortes, consulta, incidencias y disponibilidad, con las ventanas de la convocatoria",
        "The technical report: cuts, queries, incidents and availability, with the windows of the call",
    ),
    (
        "Lo que el instituto necesita para enviar: puertas, rutas, huellas, direcciones y órdenes",
        "What the institute needs to push: doors, paths, fingerprints, addresses and commands",
    ),
    (
        "El diagrama del servicio, sus puertas y su capacidad",
        "The diagram of the service, its doors and its capacity",
    ),
    (
        "Disponibilidad por hora, día y mes, y tiempos de respuesta",
        "Availability by hour, day and month, and response times",
    ),
    (
        "Participación en un simulacro: cortes esperados, recibidos y tarde, transferencias",
        "Participation in a drill: cuts expected, received and late, transfers",
    ),
    (
        "Contactos, personal, evidencias y estimación; lo que falte es un error que nombra la cláusula",
        "Contacts, staff, evidence and estimate; what is missing is an error that names the clause",
    ),
    (
        "Escribe una plantilla propia por la salida estándar, para cambiarla",
        "Writes one of our templates to standard output, to change it",
    ),
    (
        "El informe: memoria, interconnection, architecture, availability, drill o dossier",
        "The report: memoria, interconnection, architecture, availability, drill or dossier",
    ),
    (
        "Evento por su nombre o clase (jornada, simulacro); por omisión el último de su clase",
        "Event by its name or kind (jornada, simulacro); by default the last of its kind",
    ),
    ("En vez de un evento: desde esta hora, incluida", "Instead of an event: from this hour on, inclusive"),
    ("En vez de un evento: hasta esta hora, sin incluirla", "Instead of an event: to this hour, exclusive"),
    (
        "Hora hasta la que se tiene en cuenta la bitácora; por omisión la de su última línea",
        "Hour up to which the ledger counts; by default that of its last line",
    ),
    (
        "Archivo de texto con comentarios y sugerencias, en vez del de la configuración",
        "Text file with comments and suggestions, instead of the configuration's",
    ),
    (
        "Formatos, separados por comas: html, pdf, xlsx, csv, json",
        "Formats, separated by commas: html, pdf, xlsx, csv, json",
    ),
    (
        "Archivo o carpeta de salida; - es la salida estándar; por omisión un archivo aquí",
        "File or folder to write; - is standard output; by default a file here",
    ),
    (
        "Plantilla propia o del instituto (.md da todos los formatos; otra, un solo archivo)",
        "Template of your own or the institute's (.md gives every format; another, one file)",
    ),
    ("También cada tabla en su propio CSV", "Also each table as a CSV of its own"),
    (
        "Salir con error si falta un dato que pide la convocatoria",
        "End with an error if something the call asks for is missing",
    ),
    (
        "Lee de nuevo la configuración sin detener nada; dice qué cambió y qué pide reinicio",
        "Reads the configuration again without stopping anything; says what changed and what needs a restart",
    ),
    ("La página de guardia: cómo entrar", "The page of the person on duty: how to come in"),
    (
        "Si el servicio contesta: salida 0 o 1, para supervisores y contenedores",
        "Whether the service answers: exit 0 or 1, for supervisors and containers",
    ),
    (
        "Un enlace que abre la página una sola vez, en los próximos 10 minutos",
        "A link that opens the page once, within the next 10 minutes",
    ),
    (
        "Recibe el sitio de resultados que envía el instituto, lo comprueba, lo publica de una sola vez y lo sirve por HTTPS",
        "Receives the results site that the institute pushes, verifies it, publishes it atomically and serves it over HTTPS",
    ),
    (
        "Archivo de configuración [por omisión: difusor.toml aquí, si no /etc/difusor/difusor.toml]",
        "Configuration file [default: difusor.toml here, else /etc/difusor/difusor.toml]",
    ),
    ("Respuesta en JSON por la salida estándar", "Answer in JSON on standard output"),
    (
        "Idioma de ayuda y respuestas; por omisión el del sistema, si no español",
        "Language of help and answers; by default the system's, else Spanish",
    ),
    (
        "Demostración: una instancia desechable que se envía cortes a sí misma por SSH",
        "Demonstration: a throw-away instance that pushes cuts to itself over SSH",
    ),
    (
        "Crea una instancia: configuración comentada y carpetas; nunca sobrescribe",
        "Makes an instance: commented configuration and folders; never overwrites",
    ),
    ("El servicio completo: recibe y sirve", "The whole service: receives and serves"),
    ("Solo la mitad que recibe, comprueba y publica", "Only the half that receives, verifies and publishes"),
    ("Solo la mitad que sirve a los lectores", "Only the half that serves readers"),
    (
        "Revisa configuración, llaves y carpetas; muestra todas las faltas de una vez (salida 78 si hay)",
        "Checks configuration, keys and folders; shows every fault at once (exit 78 if there is one)",
    ),
    ("Qué se ve, qué espera y qué llegó al final", "What is live, what waits and what came last"),
    ("Cortes extraídos: ver, comprobar, volver atrás", "Extracted cuts: look, verify, go back"),
    (
        "Publica a mano un paquete; queda asentado como del operador",
        "Publishes a package by hand; recorded as the operator's",
    ),
    ("Llaves de confianza: quién puede enviar y desde dónde", "Trusted keys: who may push and from where"),
    (
        "Dice qué haría una orden que el instituto manda por SSH, sin hacerla",
        "Tells what a command that the institute sends over SSH would do, without doing it",
    ),
    (
        "Un paquete en disco: veredicto o contenido, sin servicio",
        "A package on disk: verdict or content, without a service",
    ),
    ("Paquetes realistas para ensayar", "Realistic packages to rehearse with"),
    ("La bitácora encadenada", "The chained ledger"),
    (
        "Prueba que paquete original = manifiesto = disco = lo que se sirve",
        "Proves that original package = manifest = disk = what is served",
    ),
    ("Escribe las páginas de manual en una carpeta", "Writes the manual pages into a folder"),
    ("Escribe el autocompletado de un intérprete", "Writes the completions of a shell"),
    ("Termina solo después de este número de cortes", "Ends by itself after this many cuts"),
    ("Tiempo entre cortes", "Time between cuts"),
    ("Tiempo entre cortes; por omisión el del perfil", "Time between cuts; by default the profile's"),
    (
        "Velocidad del enlace del instituto, en Mbit/s; 0 sin límite",
        "Speed of the institute's link, in Mbit/s; 0 for no limit",
    ),
    (
        "Paquetes: qroo (33 MB, como los reales) o mini (rápido)",
        "Packages: qroo (33 MB, like real ones) or mini (fast)",
    ),
    ("Semilla de los datos", "Seed of the data"),
    (
        "Carpeta de la instancia; por omisión una temporal que se borra al final",
        "Folder of the instance; by default a temporary one, removed at the end",
    ),
    ("Puerto SSH", "SSH port"),
    ("Puerto HTTPS", "HTTPS port"),
    ("Puerto HTTP", "HTTP port"),
    ("Carpeta de la instancia", "Folder of the instance"),
    (
        "Convocatoria: quintana-roo, durango, ine, nuevo-leon, tamaulipas",
        "Call: quintana-roo, durango, ine, nuevo-leon, tamaulipas",
    ),
    ("Dirección de la puerta SSH", "Address of the SSH door"),
    ("Dirección del sitio", "Address of the site"),
    ("Dirección que redirige a HTTPS", "Address that redirects to HTTPS"),
    ("Dirección del demonio rsync", "Address of the rsync daemon"),
    ("Nombre público del sitio", "Public name of the site"),
    ("Todos los cortes extraídos", "All extracted cuts"),
    (
        "Un corte: de qué paquete salió, cuándo, cuántos archivos",
        "One cut: which package it came from, when, how many files",
    ),
    ("El corte; sin él, el vigente", "The cut; without it, the live one"),
    (
        "Compara un corte en disco con su manifiesto (salida 1 si difiere)",
        "Compares a cut on disk with its manifest (exit 1 if it differs)",
    ),
    ("El corte; sin él, todos", "The cut; without it, all"),
    ("Motivo, para la bitácora", "Reason, for the ledger"),
    ("El paquete", "The package"),
    (
        "Las llaves: huella, de dónde pueden venir, hasta cuándo, qué pueden y cuándo se usaron",
        "The keys: fingerprint, where they may come from, until when, what they may do, and last use",
    ),
    (
        "La única entrada que puede usar: internal-sftp, \"rrsync -wo /sitio\", \"scp -t /paquetes\"…",
        "The one intake it may use: internal-sftp, \"rrsync -wo /sitio\", \"scp -t /paquetes\"…",
    ),
    (
        "Es una autoridad: valen los certificados de usuario que firme",
        "It is an authority: the user certificates that it signs are trusted",
    ),
    (
        "Nombre que debe traer un certificado de la autoridad; puede repetirse",
        "Name that a certificate of the authority must bear; may be repeated",
    ),
    (
        "Confía en una llave nueva como en la vieja, y da a la vieja un fin: ambas valen mientras tanto",
        "Trusts a new key as the old one, and gives the old one an end: both count until then",
    ),
    ("Nombre o huella de la llave que se va", "Name or fingerprint of the key that goes"),
    (
        "Nombre de la que llega, o directamente su archivo .pub",
        "Name of the one that comes, or its .pub file itself",
    ),
    ("Cuánto valen ambas", "How long both count"),
    (
        "Pone contraseña a un usuario (se lee de la entrada estándar); sólo vale con ssh.passwords y desde trust.networks",
        "Gives a user a password (read from standard input); counts only with ssh.passwords and from trust.networks",
    ),
    ("Usuario", "User"),
    ("Se la quita, y termina sus sesiones", "Takes it away, and ends its sessions"),
    (
        "Las llaves por las que los clientes conocen a este servidor",
        "The keys by which clients know this server",
    ),
    (
        "Huella, línea de known_hosts y registro SSHFP de cada una",
        "Fingerprint, known_hosts line and SSHFP record of each",
    ),
    (
        "Prepara la llave siguiente y la anuncia a los clientes (UpdateHostKeys); con --switch la pone en uso",
        "Prepares the next key and announces it to clients (UpdateHostKeys); with --switch puts it in use",
    ),
    (
        "Pone en uso la llave preparada; la anterior queda en keys/host/old",
        "Puts the prepared key in use; the one before is kept in keys/host/old",
    ),
    (
        "Redes de confianza: desde dónde se escucha a alguien",
        "Trusted networks: from where anybody is listened to",
    ),
    ("Las redes, sus notas y hasta cuándo", "The networks, their notes and until when"),
    (
        "Agrega una red al archivo de configuración; en vigor en un segundo",
        "Adds a network to the configuration file; in force within a second",
    ),
    ("Red o dirección, IPv4 o IPv6", "Network or address, IPv4 or IPv6"),
    ("De quién es", "Whose it is"),
    (
        "Quita una red y termina las sesiones que vienen de ella",
        "Removes a network and ends the sessions that come from it",
    ),
    ("Red, como en la lista", "Network, as in the list"),
    ("Agrega la llave pública de un instituto", "Adds the public key of an institute"),
    ("Nombre con el que aparecerá en la bitácora", "Name under which it will appear in the ledger"),
    ("Red desde la que puede venir; puede repetirse", "Network it may come from; may be repeated"),
    (
        "Desde cuándo ya no vale, por ejemplo 2027-06-14",
        "From when on it is no longer valid, for example 2027-06-14",
    ),
    ("Archivo .pub; sin él, la entrada estándar", "A .pub file; without it, standard input"),
    ("Quita una llave y termina sus sesiones", "Removes a key and ends its sessions"),
    ("Nombre o huella", "Name or fingerprint"),
    ("La orden, entre comillas", "The command, in quotes"),
    ("Solo el veredicto: una línea JSON y salida 0 o 1", "The verdict alone: one JSON line and exit 0 or 1"),
    ("Qué hay dentro", "What is inside"),
    (
        "Escribe los paquetes de una noche, idénticos en cualquier máquina, con sus manifiestos",
        "Writes the packages of a night, identical on any machine, with their manifests",
    ),
    (
        "Clase de paquete: qroo, ine, ine-mini, tamps, dgo, nl o mini",
        "Kind of package: qroo, ine, ine-mini, tamps, dgo, nl or mini",
    ),
    ("Semilla", "Seed"),
    (
        "Cortes, del primero al último inclusive, por ejemplo 0..96",
        "Cuts, first to last inclusive, for example 0..96",
    ),
    (
        "Proceso: jornada, simulacro1, simulacro2 o simulacro3",
        "Process: jornada, simulacro1, simulacro2 or simulacro3",
    ),
    ("Hora del primer corte", "Hour of the first cut"),
    ("Zona IANA; por omisión la del perfil", "IANA zone; by default the profile's"),
    ("Curva de llegada: qroo2019, late o guerrero", "Arrival curve: qroo2019, late or guerrero"),
    (
        "Fallas, separadas por comas, por ejemplo truncate-gz@4,bad-json@5",
        "Faults, separated by commas, for example truncate-gz@4,bad-json@5",
    ),
    ("Carpeta de salida", "Output folder"),
    ("Las líneas, de la más antigua a la más nueva", "The lines, oldest first"),
    ("Solo las últimas", "Only the last ones"),
    (
        "Comprueba la cadena (salida 1 y la línea, si alguien la tocó)",
        "Verifies the chain (exit 1 and the line, if somebody touched it)",
    ),
    (
        "Copia la bitácora, comprobada, a la salida estándar",
        "Copies the ledger, verified, to standard output",
    ),
    (
        "Dirección pública que se comprueba también, archivo por archivo",
        "Public address that is checked too, file by file",
    ),
    ("El intérprete", "The shell"),
    (
        "Lo que puede saberse antes de la noche: reloj, DNS, puertos, disco, llaves… (salida 1 si algo falla)",
        "What can be known before the night: clock, DNS, ports, disk, keys… (exit 1 if something fails)",
    ),
    ("No preguntar nada a la red", "Ask nothing of the network"),
    (
        "Dirección pública de esta máquina, para probar los puertos a través de ella; puede repetirse",
        "Public address of this machine, to try the ports through it; may be repeated",
    ),
    (
        "Dirección del sitio como la escriben los lectores; por omisión https:// y el dominio",
        "Address of the site as readers write it; by default https:// and the domain",
    ),
    (
        "En vez de preguntar, mide la instancia con cada cláusula de una convocatoria",
        "Rather than ask, measure the instance by each clause of a call",
    ),
    (
        "En vez de preguntar, escribe las reglas del cortafuegos",
        "Rather than ask, write the rules of the firewall",
    ),
    (
        "Con --firewall: red desde la que usted administra esta máquina por el puerto 22; puede repetirse",
        "With --firewall: network from which you administer this machine at port 22; may be repeated",
    ),
    ("La bitácora de accesos de los lectores", "The access log of the readers"),
    (
        "Quién consultó los resultados: visitas, páginas, accesos, visitantes",
        "Who consulted the results: visits, pages, hits, visitors",
    ),
    (
        "Copia las líneas de una ventana a un archivo nuevo, con su SHA-256 al lado",
        "Copies the lines of a window to a new file, with its SHA-256 beside it",
    ),
    ("Archivo nuevo", "A new file"),
    ("Ventana por su nombre: difusor stats windows", "A window by its name: difusor stats windows"),
    (
        "Primer segundo, por ejemplo 2027-06-06T18:00; por omisión hoy a las 0:00",
        "First second, for example 2027-06-06T18:00; by default today at 0:00",
    ),
    (
        "Primer segundo que ya no entra; por omisión mañana a las 0:00",
        "First second that is not in it; by default tomorrow at 0:00",
    ),
    ("Las cifras de una ventana", "The figures of a window"),
    ("Una importación en vez de la bitácora propia", "An import instead of our own log"),
    (
        "Las mismas cifras en CSV y JSON, por hora, día y página, con sus sumas",
        "The same figures as CSV and JSON, by hour, day and page, with their sums",
    ),
    (
        "Las ventanas que tienen nombre: las de la convocatoria y las de [[stats.window]]",
        "The windows that have a name: those of the call and those of [[stats.window]]",
    ),
    (
        "Vuelve a contar todo desde las bitácoras y lo compara con lo contado en vivo",
        "Counts everything again from the logs and compares it with what was counted live",
    ),
    ("Solo comparar (salida 1 si no es igual)", "Only compare (exit 1 if it is not equal)"),
    (
        "Toma bitácoras de una CDN o de otro servidor como fuente aparte: CloudFront, Cloudflare o formato combinado",
        "Takes logs of a CDN or of another server as a source of its own: CloudFront, Cloudflare or combined format",
    ),
    (
        "Nombre de la fuente; lo que ya tiene no se cuenta dos veces",
        "Name of the source; what it has already is not counted twice",
    ),
    ("Archivos, también en gzip", "Files, gzip too"),
    (
        "Toma las cifras habituales del portal, para compararlas: fecha, y visitas, paginas o hits",
        "Takes the usual figures of the portal, to compare with: day, and visits, pages or hits",
    ),
    ("Cómo se llama", "What it is called"),
    ("De dónde salen las cifras, para el informe", "Where the figures come from, for the report"),
    ("La tabla", "The table"),
    (
        "Las cifras que darían GoAccess y AWStats de la misma bitácora, con sus definiciones",
        "The figures that GoAccess and AWStats would give of the same log, by their definitions",
    ),
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Cli;
    use crate::cli::usage;

    fn untranslated(command: &Command, found: &mut Vec<String>) {
        let abouts = command.get_about().into_iter().map(ToString::to_string);
        let helps = command.get_arguments().filter_map(|a| a.get_help()).map(ToString::to_string);
        found.extend(abouts.chain(helps).filter(|text| english(text).is_none()));
        let values = command.get_arguments().filter(|a| usage::takes_value(a)).map(usage::value_of);
        found.extend(values.filter(|value| !VALUES.iter().chain(night::VALUES).any(|(es, _)| es == value)));
        command.get_subcommands().for_each(|c| untranslated(c, found));
    }

    #[test]
    fn every_help_text_has_its_english() {
        let mut found = Vec::new();
        untranslated(&Cli::command(), &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn every_verb_shows_examples() {
        fn without(command: &Command, found: &mut Vec<String>) {
            if command.get_after_help().is_none() {
                found.push(command.get_name().to_owned());
            }
            command.get_subcommands().for_each(|c| without(c, found));
        }
        let mut found = Vec::new();
        without(&Cli::command(), &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
