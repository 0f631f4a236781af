//! Every key there is: section, name, default, and what it means in both languages.
//!
//! The one source of defaults, of the commented file that `init` writes, of
//! `docs/CONFIG.md` and of the suggestions for a mistyped key.

/// One key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `ssh`, `package.identity`, or empty for the top of the file.
    pub section: &'static str,
    /// Its name, in kebab case.
    pub name: &'static str,
    /// Default as TOML; empty where there is none.
    pub default: &'static str,
    /// What it means, in Spanish.
    pub es: &'static str,
    /// What it means, in English.
    pub en: &'static str,
}

macro_rules! keys {
    ($($section:literal { $($name:literal = $default:literal: $es:literal | $en:literal;)* })*) => {
        /// All keys, in the order of the file.
        pub const KEYS: &[Key] = &[$($(
            Key { section: $section, name: $name, default: $default, es: $es, en: $en },
        )*)*];
    };
}

keys! {
"" {
    "version" = "1": "Versión de este formato" | "Version of this format";
    "profile" = "\"quintana-roo\"": "Convocatoria cuyas reglas se aplican: quintana-roo, durango, ine, nuevo-leon, tamaulipas" | "Call whose rules apply: quintana-roo, durango, ine, nuevo-leon, tamaulipas";
    "domain" = "\"localhost\"": "Nombre público del sitio" | "Public name of the site";
    "timezone" = "\"America/Mexico_City\"": "Zona IANA de la elección; las horas sin desfase se leen en ella" | "IANA zone of the election; hours without offset are read in it";
    "lang" = "\"es\"": "Idioma de veredictos, páginas y avisos: es o en" | "Language of verdicts, pages and notices: es or en";
}
"paths" {
    "keys" = "\"keys\"": "Llaves: trusted/*.pub (quién puede enviar) y host/ (las del servidor)" | "Keys: trusted/*.pub (who may push) and host/ (the server's own)";
    "www" = "\"www\"": "Carpeta del puntero current, que también nginx podría servir" | "Folder of the current pointer, which nginx could serve too";
    "var" = "\"var\"": "Datos: historia, cortes extraídos, bitácora, buzón" | "Data: history, releases, ledger, drop";
}
"trust" {
    "networks" = "[]": "Redes desde las que se escucha a alguien, en todas las puertas, por ejemplo [\"203.0.113.0/24\", { net = \"2001:db8::/32\", note = \"instituto\", expires = \"2027-06-14\" }]; vacío: sólo deciden las llaves (from=) y los módulos. Cambios en vigor en un segundo" | "Networks from which anybody is listened to, at every door, for example [\"203.0.113.0/24\", { net = \"2001:db8::/32\", note = \"institute\", expires = \"2027-06-14\" }]; empty: keys (from=) and modules alone decide. Changes are in force within a second";
    "proxies" = "[]": "Balanceadores que dicen a quién traen con PROXY protocol v2; de nadie más se acepta" | "Balancers that say whom they bring by PROXY protocol v2; it is taken from nobody else";
    "penalties" = "true": "No escuchar por un rato a quien falla llaves, deja vencer plazos o rompe el protocolo (como PerSourcePenalties); al instituto nunca" | "Not to listen for a while to who fails keys, lets deadlines pass or breaks the protocol (like PerSourcePenalties); never the institute";
}
"ssh" {
    "listen" = "[\"0.0.0.0:2222\"]": "Direcciones de la puerta SSH; vacío la apaga" | "Addresses of the SSH door; empty turns it off";
    "users" = "[]": "Nombres de usuario aceptados; vacío acepta cualquiera" | "User names accepted; empty accepts any";
    "paths" = "{}": "Rutas absolutas del instituto y a dónde llevan, por ejemplo { \"/var/www/html/prep\" = \"/sitio\" }" | "The institute's absolute paths and where they lead, for example { \"/var/www/html/prep\" = \"/sitio\" }";
    "verdict-wait" = "\"20s\"": "Cuánto espera el remitente su veredicto antes de irse con «recibido»" | "How long a sender waits for its verdict before it leaves with 'received'";
    "scripts" = "false": "Leer guiones por bash -s o sh -s línea por línea, con las mismas órdenes permitidas" | "Read scripts sent by bash -s or sh -s line by line, with the same commands allowed";
    "sudo" = "false": "Aceptar e ignorar sudo delante de una orden" | "Accept and ignore sudo in front of a command";
    "algorithms" = "\"compatible\"": "compatible: a cada cliente se le ofrece lo que su clase necesita, hasta OpenSSH 6.5; strict: sólo intercambio poscuántico y encrypt-then-MAC (OpenSSH 9.9, PuTTY 0.83 o posteriores)" | "compatible: each client is offered what its kind needs, down to OpenSSH 6.5; strict: post-quantum key exchange and encrypt-then-MAC only (OpenSSH 9.9, PuTTY 0.83 or later)";
    "ecdsa-host-key" = "false": "Mostrar también una llave de servidor ECDSA P-256, para clientes que no conocen Ed25519" | "Show an ECDSA P-256 host key too, for clients that do not know Ed25519";
    "passwords" = "false": "Admitir contraseñas (difusor keys password), sólo desde trust.networks; reiniciar para cambiarlo" | "Take passwords (difusor keys password), from trust.networks only; restart to change it";
    "legacy" = "false": "Admitir clientes muy antiguos (llaves de servidor RSA y ECDSA, grupos DH)" | "Admit very old clients (RSA and ECDSA host keys, DH groups)";
    "grace" = "\"20s\"": "Plazo desde la conexión hasta autenticarse y abrir un canal" | "Time from the connection to authentication and a first channel";
    "idle" = "\"10m\"": "Se corta una sesión que no envía nada en este plazo; un extremo que desapareció se nota en un minuto" | "A session that sends nothing for this long is cut; a peer that vanished is noticed within a minute";
    "connections" = "64": "Conexiones sin autenticar a la vez" | "Unauthenticated connections at once";
    "early-drop" = "10": "Desde cuántas conexiones sin autenticar se descartan al azar otras que no son del instituto (MaxStartups); las suyas nunca" | "From how many unauthenticated connections on others than the institute's are dropped at random (MaxStartups); its own never";
    "early-drop-rate" = "30": "Cuántas de cien se descartan al principio; todas al llegar a tres cuartos de connections" | "How many of a hundred are dropped at first; all at three quarters of connections";
    "new-connections-per-address" = "12": "Conexiones nuevas por segundo de una dirección; las demás esperan su turno. Menos de 20 cierra DHEat (CVE-2002-20001)" | "New connections per second of one address; others wait their turn. Below 20 closes DHEat (CVE-2002-20001)";
    "new-connections-burst" = "8": "Cuántas de ellas de golpe" | "How many of them at once";
    "connections-per-address" = "4": "Conexiones sin autenticar por dirección" | "Unauthenticated connections per address";
    "sessions-per-address" = "8": "Sesiones autenticadas por dirección" | "Authenticated sessions per address";
    "stop-grace" = "\"20s\"": "Plazo para terminar envíos en curso al detener el servicio" | "Time for running uploads to finish when the service stops";
}
"rsync" {
    "listen" = "[]": "Direcciones del demonio rsync, por ejemplo 0.0.0.0:873 y 0.0.0.0:2873; sin cifrar, solo para redes de confianza" | "Addresses of the rsync daemon, for example 0.0.0.0:873 and 0.0.0.0:2873; unencrypted, for trusted networks only";
    "tls-listen" = "[]": "Direcciones del demonio rsync bajo TLS (rsync-ssl, puerto 874), con el certificado de https" | "Addresses of the rsync daemon under TLS (rsync-ssl, port 874), with the certificate of https";
    "networks" = "[]": "Redes de confianza de los módulos que no dicen las suyas" | "Trusted networks of the modules that do not name their own";
    "motd" = "\"\"": "Saludo que el demonio dice al conectar; vacío no dice nada" | "Message of the day; empty says nothing";
    "connections" = "64": "Conexiones al demonio a la vez" | "Connections to the daemon at once";
    "connections-per-address" = "8": "Conexiones al demonio por dirección (IPv6: por /64)" | "Connections to the daemon per address (IPv6: per /64)";
    "handshake" = "\"30s\"": "Plazo desde la conexión hasta el final de los argumentos" | "Time from the connection to the end of the arguments";
    "idle" = "\"2m\"": "Se corta una sesión del demonio que no envía nada en este plazo" | "A daemon session that sends nothing for this long is cut";
    "list-within" = "\"10m\"": "Plazo para que llegue entera la lista de archivos de un envío por rsync" | "Time for the whole file list of a push by rsync to come";
    "similar" = "true": "Reconstruir un paquete de nombre nuevo a partir del más reciente (con gzip --rsyncable viaja la sexta parte)" | "Rebuild a package of a new name from the newest one (with gzip --rsyncable a sixth travels)";
    "vanished" = "\"refuse\"": "Archivos que desaparecieron del origen durante el envío: refuse (no publicar) o publish" | "Files that vanished from the source during the push: refuse (publish nothing) or publish";
    "list-memory" = "\"256MiB\"": "Memoria que puede tomar la lista de archivos de un envío" | "Memory that the file list of a push may take";
    "arguments" = "100": "Argumentos que puede llevar la orden del cliente" | "Arguments that the client's command may have";
    "filter-rules" = "10000": "Reglas de filtro que puede enviar el cliente" | "Filter rules that the client may send";
    "zstd-window-log" = "23": "Ventana de zstd que se acepta, como potencia de dos: 23 son 8 MiB" | "Window of zstd that is accepted, as a power of two: 23 is 8 MiB";
    "hashed" = "\"64GiB\"": "Bytes de lo que ya se tiene que un envío puede hacer leer (-c, deltas)" | "Bytes of what is already held that a push may have read (-c, deltas)";
    "partial" = "\"2GiB\"": "Bytes que se guardan de envíos cortados, para reanudarlos (un día)" | "Bytes kept of pushes that broke off, to go on with (one day)";
}
"rsync.module" {
    "name" = "": "Nombre del módulo: rsync://servidor/NOMBRE/" | "Name of the module: rsync://server/NAME/";
    "path" = "\"/sitio\"": "A dónde lleva: /sitio, /paquetes o /" | "Where it leads: /sitio, /paquetes or /";
    "networks" = "[]": "Redes desde las que se llega; vacío: las de [rsync], si no las de [trust], o las de las llaves si hay usuarios" | "Networks it may be reached from; empty: those of [rsync], else those of [trust], or those of the keys if there are users";
    "users" = "[]": "Usuarios con contraseña; vacío no la pide" | "Users with a password; empty asks for none";
    "secrets" = "\"\"": "Archivo usuario:contraseña, modo 0600" | "File of user:password lines, mode 0600";
    "digest" = "\"sha256\"": "Resumen más débil que se acepta a la contraseña: md4, md5, sha1, sha256, sha512 (rsync 3.0 a 3.2.3 solo conoce md5)" | "Weakest digest accepted for the password: md4, md5, sha1, sha256, sha512 (rsync 3.0 to 3.2.3 knows md5 only)";
    "max-connections" = "4": "Sesiones del módulo a la vez" | "Sessions of the module at once";
    "comment" = "\"\"": "Lo que la lista de módulos dice de él" | "What the list of modules says of it";
    "list" = "true": "Si aparece en la lista de módulos" | "Whether the list of modules shows it";
    "timeout" = "\"0s\"": "Silencio que se pide al cliente no rebasar; 0s no pide nada" | "Silence that the client is asked not to exceed; 0s asks for nothing";
}
"https" {
    "listen" = "[\"0.0.0.0:8443\"]": "Direcciones del sitio; vacío lo apaga" | "Addresses of the site; empty turns it off";
    "certificate" = "\"\"": "Cadena PEM; vacío genera un certificado propio" | "PEM chain; empty makes a self-signed certificate";
    "key" = "\"\"": "Llave privada PEM del certificado" | "PEM private key of the certificate";
    "hsts" = "\"0s\"": "Strict-Transport-Security; 0s no lo envía" | "Strict-Transport-Security; 0s does not send it";
    "frame-ancestors" = "[]": "Portales que pueden mostrarlo en un marco; vacío permite cualquiera" | "Portals that may frame it; empty allows any";
    "connections" = "4096": "Conexiones a la vez" | "Connections at once";
    "connections-per-address" = "64": "Conexiones por dirección (IPv6: por /64)" | "Connections per address (IPv6: per /64)";
    "new-connections-per-address" = "50": "Conexiones nuevas por segundo de una dirección; 0 no limita" | "New connections per second of one address; 0 does not limit";
    "new-connections-burst" = "200": "Cuántas de ellas de golpe" | "How many of them at once";
    "requests-per-address" = "200": "Consultas por segundo de una dirección; tras una compañía telefónica hay muchos lectores; 0 no limita" | "Requests per second of one address; many readers stand behind a telephone company; 0 does not limit";
    "requests-burst" = "2000": "Cuántas de ellas de golpe" | "How many of them at once";
    "over-rate" = "\"429\"": "Qué hacer con las que pasan del límite: log (contarlas), delay (que esperen hasta 1 s) o 429" | "What to do with those above the limit: log (count them), delay (they wait up to 1 s) or 429";
    "exempt" = "[\"127.0.0.0/8\", \"::1/128\"]": "Redes sin ningún límite por dirección (esta máquina, CDN, monitor del instituto)" | "Networks without any per-address limit (this machine, CDN, the institute's monitor)";
    "overload-lag" = "\"1s\"": "Con este retraso del servidor, a quien llega se le pide volver (503); 0s nunca" | "When the server is this late, newcomers are told to come back (503); 0s never";
    "handshake-time" = "\"10s\"": "Plazo del saludo TLS" | "Time for the TLS handshake";
    "head-time" = "\"10s\"": "Plazo para terminar los encabezados de una consulta" | "Time to finish the head of a request";
    "idle" = "\"30s\"": "Se cierra una conexión HTTP/1 sin consultas en este plazo" | "An HTTP/1 connection without requests for this long is closed";
    "idle-http2" = "\"5m\"": "Lo mismo con HTTP/2" | "The same over HTTP/2";
    "progress-time" = "\"30s\"": "Se corta a quien no lee progress-bytes de su respuesta en este plazo" | "Who does not read progress-bytes of an answer in this time is cut";
    "progress-bytes" = "\"8KiB\"": "Véase progress-time" | "See progress-time";
    "stop-grace" = "\"10s\"": "Plazo para terminar respuestas en curso al detener el servicio" | "Time for running answers to finish when the service stops";
}
"acme" {
    "directory" = "\"\"": "Dirección del servidor ACME que da el certificado, por ejemplo https://acme-v02.api.letsencrypt.org/directory; vacío no pide ninguno" | "Address of the ACME server that gives the certificate, for example https://acme-v02.api.letsencrypt.org/directory; empty asks none";
    "contact" = "[]": "A quién avisa el servidor, por ejemplo \"mailto:soporte@ejemplo.mx\"" | "Whom the server may write to, for example \"mailto:support@example.mx\"";
    "challenge" = "\"http-01\"": "Cómo se prueba el dominio: http-01 (puerto 80, también tras una CDN) o tls-alpn-01 (puerto 443)" | "How the domain is proved: http-01 (port 80, behind a CDN too) or tls-alpn-01 (port 443)";
    "root" = "\"\"": "Autoridad PEM del propio servidor, si no es pública" | "PEM authority of the server itself, where it is not a public one";
}
"http" {
    "listen" = "[\"0.0.0.0:8080\"]": "Direcciones que redirigen a HTTPS con 308; vacío las apaga" | "Addresses that redirect to HTTPS with 308; empty turns them off";
}
"site" {
    "base" = "\"/\"": "Prefijo bajo el que también se sirve el sitio, por ejemplo /publicacion/nacional/" | "Prefix under which the site is served too, for example /publicacion/nacional/";
    "fallback" = "true": "Responder index.html a rutas sin extensión que piden HTML (aplicaciones de una página)" | "Answer index.html to extensionless paths that ask for HTML (single-page applications)";
    "cache" = "\"direct\"": "Política de caché: direct; cdn si hay una red de distribución delante; cdn-purged si además se purga en cada corte" | "Cache policy: direct; cdn if a distribution network stands in front; cdn-purged if it is also purged at each cut";
    "browser-max-age" = "\"0s\"": "Con cdn: cuánto guarda un navegador lo que cambia con el corte" | "With cdn: how long a browser keeps what changes with the cut";
    "edge-max-age" = "\"3s\"": "Con cdn: cuánto lo guarda la red" | "With cdn: how long the network keeps it";
    "edge-max-age-purged" = "\"15m\"": "Con cdn-purged: cuánto lo guarda la red si nadie la purga" | "With cdn-purged: how long the network keeps it unless purged";
    "edge-stale" = "\"1s\"": "Con cdn: cuánto más puede darlo mientras pregunta de nuevo" | "With cdn: how much longer it may give it while it asks again";
    "edge-stale-on-error" = "\"5m\"": "Con cdn: cuánto más puede darlo si no nos alcanza" | "With cdn: how much longer it may give it when we cannot be reached";
    "cors" = "false": "Permitir que otros portales lean JSON y CSV con su propio código" | "Let other portals read JSON and CSV with their own code";
    "memory" = "\"512MiB\"": "Memoria para el corte vigente; lo que no quepa se lee del disco" | "Memory for the live cut; what does not fit is read from disk";
}
"package" {
    "names" = "[\"*.tar.gz\", \"*.tgz\", \"*.tar\", \"*.tar.zst\", \"*.zip\"]": "Nombres que son paquetes" | "Names that are packages";
    "required" = "[\"index.html\"]": "Archivos que deben venir en cada corte" | "Files that every cut must hold";
    "base-tag" = "true": "Exigir <base en index.html (monitor del INE, IV.b)" | "Require <base in index.html (INE's monitor, IV.b)";
    "increments" = "false": "Aceptar incrementos: paquetes sin páginas, programas ni estilos (JSON y ZIP) que se suman al corte vigente (Tamaulipas, III.b)" | "Take increments: packages without pages, scripts or styles (JSON and ZIP) that are laid over the live cut (Tamaulipas, III.b)";
    "json" = "true": "Exigir que todo JSON se pueda leer" | "Require that every JSON parses";
    "future-skew" = "\"2m\"": "Cuánto puede adelantarse la hora de un corte a nuestro reloj" | "How far the hour of a cut may lie ahead of our clock";
}
"package.identity" {
    "file" = "": "Archivo JSON que identifica la elección" | "JSON file that identifies the election";
    "pointer" = "": "Apuntador JSON (RFC 6901) al campo" | "JSON pointer (RFC 6901) to the field";
    "value" = "": "Valor esperado" | "Expected value";
}
"limits" {
    "package-size" = "\"512MiB\"": "Tamaño máximo de un paquete" | "Largest package";
    "unpacked-size" = "\"1GiB\"": "Tamaño máximo ya extraído" | "Largest unpacked size";
    "file-size" = "\"256MiB\"": "Tamaño máximo de un archivo" | "Largest file";
    "entries" = "50000": "Entradas máximas, carpetas implícitas incluidas" | "Most entries, implied folders included";
    "depth" = "32": "Niveles de carpetas" | "Folder levels";
    "name-length" = "1024": "Bytes de una ruta" | "Bytes of a path";
}
"drop" {
    "watch" = "true": "Vigilar var/drop" | "Watch var/drop";
    "settle" = "\"2s\"": "Reposo tras el último cambio antes de tomar un archivo" | "Rest after the last change before a file is taken";
    "late-sums" = "\"2m\"": "Cuánto después de un paquete se compara todavía la suma (.sha256, .md5…) que llega tras él; 0s no la compara" | "How long after a package the sum (.sha256, .md5…) that comes after it is still compared; 0s does not compare it";
    "visible" = "12": "Paquetes terminados que el remitente sigue viendo" | "Finished packages that a sender goes on seeing";
    "ahead" = "2": "Paquetes que se revisan y extraen mientras llegan, cada uno con 20 MB de memoria más su contenido; 0 espera al último byte" | "Packages checked and unpacked while they arrive, each with 20 MB of memory and its content; 0 waits for the last byte";
    "tree-busy" = "\"wait\"": "Dos envíos al sitio a la vez: wait (esperar) o refuse (rechazar)" | "Two pushes to the site at once: wait or refuse";
}
"release" {
    "keep" = "5": "Cortes extraídos que se conservan (los paquetes se conservan todos)" | "Extracted cuts kept (packages are all kept)";
    "min-free" = "\"1GiB\"": "Espacio libre que ningún envío puede consumir" | "Free space that no push may use up";
}
"event" {
    "name" = "": "Nombre, por ejemplo \"jornada-2027\"" | "Name, for example \"jornada-2027\"";
    "kind" = "\"jornada\"": "jornada o simulacro" | "jornada (election) or simulacro (drill)";
    "opens" = "": "Hora de apertura, por ejemplo \"2027-06-06T20:00\"; antes nada es visible" | "Opening hour, for example \"2027-06-06T20:00\"; nothing is visible before";
    "closes" = "": "Fin de la obligación de mostrar resultados" | "End of the obligation to show results";
    "timezone" = "\"\"": "Zona de estas horas; vacío usa la general" | "Zone of these hours; empty uses the general one";
    "accepts-from" = "\"\"": "Cortes anteriores a esta hora no son de este evento; vacío: 12 horas antes de abrir" | "Cuts before this hour are not of this event; empty: 12 hours before the opening";
}
"access-log" {
    "enabled" = "true": "Escribir la bitácora de accesos y contar las estadísticas" | "Write the access log and count the statistics";
    "addresses" = "\"truncated\"": "Direcciones de los lectores: truncated (/24 o /48) o full (enteras: dato personal, dígalo en el aviso de privacidad)" | "Addresses of readers: truncated (/24 or /48) or full (whole: personal data, say so in the privacy notice)";
    "keep" = "\"90d\"": "Cuánto se conserva el archivo de un día; 0s para siempre" | "How long the file of a day is kept; 0s for ever";
    "proxies" = "[]": "Redes de la CDN o del proxy propio, a cuyo X-Forwarded-For se cree; a nadie más" | "Networks of the CDN or of our own proxy, whose X-Forwarded-For is believed; nobody else's";
    "queue" = "\"16MiB\"": "Memoria para lo que espera a escribirse; lo que no cabe se pierde para la bitácora, y se cuenta" | "Memory for what waits to be written; what finds no room is lost to the log, and counted";
    "sync" = "\"5s\"": "Cada cuánto lo escrito queda a salvo de un corte de luz; 0s en cada turno" | "How often what was written is made safe from a power cut; 0s at each turn";
}
"stats" {
    "settle" = "\"60s\"": "Cada cuánto se asientan las cifras en disco" | "How often the figures are written to disk";
    "internal" = "[]": "Redes propias, que se cuentan aparte" | "Own networks, which are counted apart";
    "monitors" = "[]": "Direcciones del monitor del instituto y otros, que se cuentan aparte" | "Addresses of the institute's monitor and others, which are counted apart";
    "monitor-agents" = "[\"difusor\"]": "Partes de su User-Agent; la sonda propia dice difusor" | "Parts of their User-Agent; our own probe says difusor";
    "robots" = "\"\"": "Archivo con partes del User-Agent de los robots, una por línea; vacío usa la lista propia" | "File with parts of the User-Agent of robots, one a line; empty uses our own list";
    "sessions" = "1000000": "Lectores que se siguen a la vez (100 bytes cada uno); de los demás se cuentan accesos, no visitas" | "Readers followed at once (100 bytes each); of the others hits are counted, not visits";
    "paths" = "10000": "Rutas que se cuentan una por una; las demás, juntas" | "Paths counted one by one; the others together";
}
"stats.page" {
    "pattern" = "": "Ruta, o varias con *: \"assets/presidencia/entidad/23.json\"" | "Path, or several with *: \"assets/presidencia/entidad/23.json\"";
    "name" = "": "Nombre de la página para las personas; {} es lo que estaba en el primer *" | "Name of the page for people; {} is what the first * stood for";
}
"stats.window" {
    "name" = "": "Nombre de la ventana" | "Name of the window";
    "from" = "": "Desde este segundo, por ejemplo \"2027-06-06T18:00\"" | "From this second on, for example \"2027-06-06T18:00\"";
    "to" = "": "Hasta justo antes de este segundo" | "Until just before this second";
    "timezone" = "\"\"": "Zona de estas horas; vacío usa la general" | "Zone of these hours; empty uses the general one";
}
"schedule" {
    "period" = "\"15m\"": "Cada cuánto se espera un corte: un tiempo, o un intervalo \"5m..20m\" si no es regular" | "How often a cut is expected: a time, or a range \"5m..20m\" where it is not regular";
    "grace" = "\"3m\"": "Cuánto puede tardar un corte más allá del periodo antes del primer aviso" | "How late a cut may be beyond the period before the first warning";
    "periods" = "3": "Periodos seguidos sin corte tras los cuales el instituto da por interrumpida la transmisión" | "Periods in a row without a cut after which the institute counts the transmission as interrupted";
    "duration" = "\"24h\"": "De la apertura al último corte" | "From the opening to the last cut";
    "overtime" = "\"1h\"": "Cuánto después de eso un corte es todavía uno tardío; lo que llegue más tarde espera la decisión del operador" | "How long after that a cut is still a late one; what comes later waits for the operator's decision";
    "transfer-warning" = "\"120s\"": "Una transferencia más larga es un aviso" | "A longer transfer is a warning";
    "transfer-limit" = "\"180s\"": "Una transferencia más larga incumple la convocatoria" | "A longer transfer breaks the call";
    "package-size" = "\"\"": "Tamaño habitual de un paquete, por ejemplo \"30MB..35MiB\"; fuera de él se avisa, nunca se rechaza" | "Ordinary size of a package, for example \"30MB..35MiB\"; outside it is warned of, never refused";
    "bandwidth" = "0": "Enlace que pide la convocatoria para recibir, en Mbps; 0 si no lo dice" | "Link that the call asks for to receive, in Mbps; 0 where it does not say";
    "publish-limit" = "\"60s\"": "Del último byte a los lectores; más es un incidente (Durango I.11)" | "From the last byte to the readers; more is an incident (Durango I.11)";
}
"institute" {
    "name" = "\"\"": "Nombre del instituto, para los avisos" | "Name of the institute, for alerts";
    "contact" = "\"\"": "Persona o área a quien llamar" | "Person or office to call";
    "phone" = "\"\"": "Teléfono en horas de oficina" | "Telephone in office hours";
    "night-phone" = "\"\"": "Teléfono la noche de la elección" | "Telephone on the night of the election";
    "email" = "\"\"": "Correo electrónico" | "E-mail address";
    "hours" = "\"\"": "Horario de atención, por ejemplo \"lunes a viernes, 10 a 14 y 15 a 20 h\"" | "Office hours, for example \"Monday to Friday, 10 to 14 and 15 to 20 h\"";
}
"alert" {
    "name" = "": "Nombre del canal" | "Name of the channel";
    "by" = "": "webhook (JSON por POST), email o command (un programa)" | "webhook (JSON by POST), email or command (a program)";
    "on" = "[\"all\"]": "De qué avisa: all, late, missed, rejected, transfer, disk, certificate, clock, mirror, hold, notice, monitor, correction, recovery, other" | "What it tells of: all, late, missed, rejected, transfer, disk, certificate, clock, mirror, hold, notice, monitor, correction, recovery, other";
    "url" = "": "webhook: a dónde" | "webhook: where to";
    "secret" = "\"\"": "webhook: llave de la firma HMAC-SHA256: { file = \"ruta\" }, { credential = \"nombre\" } o { env = \"VARIABLE\" }" | "webhook: key of the HMAC-SHA256 signature: { file = \"path\" }, { credential = \"name\" } or { env = \"VARIABLE\" }";
    "server" = "": "email: servidor SMTP" | "email: SMTP server";
    "port" = "0": "email: puerto; 0 es el de tls (587 o 465)" | "email: port; 0 is that of tls (587 or 465)";
    "tls" = "\"starttls\"": "email: starttls, tls (desde el primer byte) o none (solo hacia esta máquina)" | "email: starttls, tls (from the first byte) or none (to this machine only)";
    "user" = "\"\"": "email: usuario; vacío no se identifica" | "email: user; empty does not log in";
    "password" = "\"\"": "email: contraseña, como secret" | "email: password, as secret";
    "from" = "": "email: remitente" | "email: sender";
    "to" = "": "email: destinatarios" | "email: recipients";
    "run" = "": "command: programa y argumentos, sin intérprete; recibe el JSON por su entrada" | "command: program and arguments, without a shell; the JSON on its standard input";
    "root" = "\"\"": "Autoridad PEM del servidor, si no es pública" | "PEM authority of the server, where it is not a public one";
    "timeout" = "\"20s\"": "Plazo de cada intento" | "Time for each try";
    "attempts" = "6": "Cuántas veces se intenta" | "How often it is tried";
    "pause" = "\"5s\"": "Pausa antes del segundo intento; se duplica en cada uno" | "Pause before the second try; it doubles for each";
    "group" = "\"10s\"": "Lo que ocurra en este tiempo va en un solo mensaje" | "What happens within this time goes in one message";
    "per-hour" = "30": "Mensajes por hora; lo demás espera y va junto" | "Messages an hour; the rest waits and goes together";
}
"monitor" {
    "url" = "\"\"": "Dirección pública que se prueba; vacío: https:// y domain, si no es localhost" | "Public address that is probed; empty: https:// and domain, unless that is localhost";
    "cdn" = "\"\"": "Dirección de la red de distribución, si hay" | "Address of the distribution network, if there is one";
    "pages" = "[]": "Otras páginas que se piden en cada ronda, por ejemplo \"/assets/api/entidad.json\"" | "Other pages that are asked for in each round, for example \"/assets/api/entidad.json\"";
    "every" = "\"30s\"": "Tiempo entre rondas; 0s la apaga" | "Time between rounds; 0s turns it off";
    "timeout" = "\"10s\"": "Plazo de cada respuesta (las convocatorias piden 10 s)" | "Time for each answer (the calls ask for 10 s)";
    "lag" = "\"60s\"": "Cuánto puede tardar en verse un corte nuevo" | "How long a new cut may take to be seen";
    "rounds" = "3": "Rondas malas seguidas que abren un incidente" | "Bad rounds in a row that open an incident";
    "keep-days" = "62": "Días de mediciones que se conservan" | "Days of measurements that are kept";
    "root" = "\"\"": "Autoridad PEM del certificado del sitio, si no es pública" | "PEM authority of the site's certificate, where it is not a public one";
    "availability" = "\"99.9\"": "Disponibilidad mensual que pide la convocatoria, en porcentaje" | "Monthly availability that the call asks for, in percent";
}
"monitor.exclusion" {
    "from" = "": "Desde cuándo no cuenta" | "Since when it does not count";
    "to" = "": "Hasta cuándo" | "Until when";
    "reason" = "": "Por qué; sale en el informe" | "Why; shown in the report";
}
"watch" {
    "disk-low" = "\"2GiB\"": "Con menos espacio libre se abre un incidente" | "With less free space an incident is opened";
    "certificate" = "\"30d\"": "Cuánto antes de vencer avisa el certificado; en su última cuarta parte es crítico" | "How long before its end the certificate is told of; in the last quarter it is critical";
    "clock-warning" = "\"1s\"": "Diferencia del reloj que se avisa" | "Offset of the clock that is a warning";
    "clock-critical" = "\"5s\"": "Diferencia que es crítica" | "Offset that is critical";
    "ntp" = "[]": "Servidores NTP con los que se compara el reloj cada cinco minutos; vacío no compara (vea doctor.ntp)" | "NTP servers that the clock is compared with every five minutes; empty does not compare (see doctor.ntp)";
    "hold" = "\"30m\"": "Una retención más larga se avisa otra vez" | "A longer hold is told of again";
}
"log" {
    "format" = "\"auto\"": "auto, text, json o journald" | "auto, text, json or journald";
    "level" = "\"info\"": "error, warn, info, debug" | "error, warn, info, debug";
}
"service" {
    "user" = "\"\"": "Usuario de esta máquina en que se convierte el servicio cuando lo arranca root" | "User of this machine that the service becomes when root starts it";
    "sandbox" = "\"on\"": "Aislamiento (Landlock, seccomp, sin privilegios): on (lo que el núcleo dé, y lo dice), required (sin él no arranca) u off" | "Sandbox (Landlock, seccomp, no privileges): on (what the kernel gives, and says so), required (does not start without it) or off";
}
"admin" {
    "listen" = "[\"unix:admin.sock\"]": "Dónde escucha la página de guardia: unix:RUTA (relativa a var/run) o dirección, por ejemplo 127.0.0.1:9080; vacío la apaga" | "Where the page of the person on duty listens: unix:PATH (relative to var/run) or an address, for example 127.0.0.1:9080; empty turns it off";
    "allow" = "[\"127.0.0.0/8\", \"::1/128\"]": "Redes desde las que se llega a ella" | "Networks it may be reached from";
    "hosts" = "[]": "Nombres con los que se llega a ella, además de localhost y las direcciones" | "Names it is reached by, besides localhost and addresses";
    "actions" = "false": "Permitir que la página actúe (volver atrás, retener, anotar); sin esto solo muestra" | "Let the page act (roll back, hold, annotate); without this it only shows";
    "metrics" = "[\"127.0.0.0/8\", \"::1/128\"]": "Redes que leen /metrics sin enlace; vacío: solo quien entró" | "Networks that read /metrics without a link; empty: only who came in";
    "session" = "\"12h\"": "Cuánto dura la sesión que abre un enlace" | "How long the session that a link opens lasts";
    "connections" = "64": "Conexiones a la página a la vez" | "Connections to the page at once";
}
"doctor" {
    "ntp" = "[\"cronos.cenam.mx\", \"pool.ntp.org\"]": "Servidores NTP a los que difusor doctor pregunta la hora, hasta que uno contesta; vacío no pregunta" | "NTP servers that difusor doctor asks for the hour, until one answers; empty asks none";
    "timeout" = "\"5s\"": "Cuánto espera difusor doctor cada respuesta de la red" | "How long difusor doctor waits for each answer from the network";
    "public" = "[]": "Direcciones públicas de esta máquina, para probar sus puertos a través de ellas" | "Public addresses of this machine, to try its ports through them";
}
"difusor" {
    "name" = "\"\"": "La empresa o universidad que difunde" | "The company or university that publishes";
    "address" = "\"\"": "Domicilio" | "Address";
    "city" = "\"\"": "Ciudad" | "City";
    "state" = "\"\"": "Estado" | "State";
    "representative" = "\"\"": "Representante legal" | "Legal representative";
    "contact" = "\"\"": "Responsable técnico" | "Technical contact";
    "post" = "\"\"": "Cargo del responsable" | "Post of the contact";
    "phone" = "\"\"": "Teléfono del responsable" | "Phone of the contact";
    "email" = "\"\"": "Correo del responsable" | "E-mail of the contact";
    "hours" = "\"\"": "Horario del responsable" | "Hours of the contact";
    "night-phone" = "\"\"": "Teléfono de la noche de la jornada" | "Phone on election night";
    "description" = "\"\"": "Descripción del difusor" | "Description of the difusor";
    "hosting" = "\"\"": "Características del alojamiento" | "Characteristics of the hosting";
    "motives" = "\"\"": "Motivos para difundir" | "Motives to publish";
    "logo" = "\"\"": "Archivo del logotipo vectorial (.svg o .ai)" | "File of the vector logo (.svg or .ai)";
    "addresses" = "[]": "Direcciones públicas de esta instancia, para la hoja de interconexión" | "Public addresses of this instance, for the interconnection sheet";
    "ntp" = "[]": "Servidores de hora que usa la máquina" | "Servers of time that the machine uses";
}
"staff" {
    "name" = "": "Nombre" | "Name";
    "post" = "": "Cargo o función" | "Post or role";
    "phone" = "": "Teléfono" | "Phone";
    "email" = "": "Correo" | "E-mail";
    "hours" = "\"\"": "Horario" | "Hours";
}
"evidence" {
    "what" = "": "Norma o deber que prueba, por ejemplo ISO/IEC 27001:2022" | "Standard or duty it proves, for example ISO/IEC 27001:2022";
    "file" = "": "Dónde está el documento" | "Where the paper is";
    "from" = "\"\"": "Primer día de vigencia, por ejemplo 2027-01-01" | "First day it holds, for example 2027-01-01";
    "until" = "\"\"": "Último día de vigencia" | "Last day it holds";
}
"estimate" {
    "users" = "\"\"": "Usuarios esperados" | "Users expected";
    "bandwidth" = "\"\"": "Ancho de banda previsto" | "Bandwidth foreseen";
    "zones" = "\"\"": "Zonas geográficas" | "Geographic zones";
    "date" = "\"\"": "Día de la estimación" | "Day of the estimate";
}
"report" {
    "criteria" = "\"\"": "Archivo de texto con criterios de mejora y planeación, para la memoria" | "Text file with criteria for improvement and planning, for the memoria";
    "comments" = "\"\"": "Archivo de texto con comentarios y sugerencias, para la memoria" | "Text file with comments and suggestions, for the memoria";
    "template" = "\"\"": "Plantilla del instituto para la memoria; vacío usa la propia" | "The institute's template for the memoria; empty uses our own";
}
}

/// The sections that are arrays of tables (`[[event]]`).
pub const ARRAYS: &[&str] = &[
    "rsync.module",
    "package.identity",
    "event",
    "stats.page",
    "stats.window",
    "staff",
    "evidence",
    "alert",
    "monitor.exclusion",
];

/// What each section is about, for the heads of the file: section, Spanish, English.
pub const SECTIONS: &[(&str, &str, &str)] = &[
    ("", "General", "General"),
    ("paths", "Carpetas, relativas a este archivo", "Folders, relative to this file"),
    ("trust", "Desde dónde se escucha a alguien", "From where anybody is listened to"),
    ("ssh", "La puerta por la que envía el instituto", "The door through which the institute pushes"),
    ("rsync", "rsync, y su demonio", "rsync, and its daemon"),
    (
        "rsync.module",
        "Módulos del demonio rsync (puede repetirse)",
        "Modules of the rsync daemon (may repeat)",
    ),
    ("https", "El sitio que ven los lectores", "The site that readers see"),
    (
        "acme",
        "Certificado automático; https.certificate va antes",
        "Automatic certificate; https.certificate goes first",
    ),
    ("http", "Redirección a HTTPS", "Redirection to HTTPS"),
    ("site", "Cómo se sirve el corte vigente", "How the live cut is served"),
    ("package", "Qué se exige a un paquete", "What is required of a package"),
    (
        "package.identity",
        "De qué elección es un paquete (puede repetirse)",
        "Which election a package is of (may repeat)",
    ),
    (
        "limits",
        "Topes absolutos; nunca razones: un primer corte legítimo se comprime 52:1",
        "Absolute caps, never ratios: a legitimate first cut compresses 52:1",
    ),
    ("drop", "El buzón y lo que ve el remitente", "The drop and what a sender sees"),
    ("release", "Cortes extraídos", "Extracted cuts"),
    (
        "event",
        "Ventanas de publicación (puede repetirse); sin ninguna, todo se publica al llegar",
        "Publication windows (may repeat); without any, everything is published on arrival",
    ),
    (
        "access-log",
        "Bitácora de accesos de los lectores: docs/STATISTICS.md",
        "Access log of the readers: docs/STATISTICS.md",
    ),
    ("stats", "Estadísticas que salen de esa bitácora", "Statistics that come from that log"),
    ("stats.page", "Nombres de páginas (puede repetirse)", "Names of pages (may repeat)"),
    (
        "stats.window",
        "Ventanas además de las de la convocatoria (puede repetirse)",
        "Windows besides those of the call (may repeat)",
    ),
    (
        "schedule",
        "Ritmo de los cortes y límites de una transferencia, según la convocatoria",
        "Rhythm of the cuts and bounds of a transfer, by the call",
    ),
    ("institute", "A quién llamar; sale en cada aviso", "Whom to call; shown in every alert"),
    (
        "alert",
        "Avisos a quien está de guardia (puede repetirse); pruébelos con: difusor alert test",
        "Alerts to who is on duty (may repeat); try them with: difusor alert test",
    ),
    ("monitor", "Lo que ven los lectores, medido desde fuera", "What readers see, measured from outside"),
    (
        "monitor.exclusion",
        "Tiempos que no cuentan para la disponibilidad (puede repetirse)",
        "Times that do not count for the availability (may repeat)",
    ),
    ("watch", "Desde cuándo algo es un incidente", "From when on something is an incident"),
    ("log", "Registro de operación", "Operation log"),
    ("service", "El proceso mismo", "The process itself"),
    (
        "admin",
        "La página de guardia; se entra con: difusor admin link",
        "The page of the person on duty; come in with: difusor admin link",
    ),
    ("doctor", "Lo que se pregunta antes de la noche", "What is asked before the night"),
    ("difusor", "Quién difunde, para informes y hojas", "Who publishes, for reports and sheets"),
    ("staff", "Personal (puede repetirse)", "Staff (may repeat)"),
    ("evidence", "Documentos que prueban algo (puede repetirse)", "Papers that prove something (may repeat)"),
    (
        "estimate",
        "Estimación de consultas que pide la convocatoria",
        "Estimate of queries that the call asks for",
    ),
    ("report", "Memoria técnica", "Memoria técnica (technical report)"),
];
