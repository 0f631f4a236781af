//! What `difusor explain` says.

use std::path::PathBuf;

use super::*;

fn explained(line: &str, lang: Lang) -> Explanation {
    let mut setup = Setup::new(Context { lang, verdict_wait: Duration::ZERO });
    setup.scripts = Scripts::Read;
    let aliases = [(PathBuf::from("/var/www/html/prep"), "sitio".to_owned())];
    explain(line.as_bytes(), &setup, &aliases)
}

#[test]
fn a_deployment_is_told_step_by_step() {
    let line = "mkdir -p /var/www/html/prep && cd /var/www/html && tar xzf - -C prep --strip-components=1; \
                chmod -R 755 prep || exit 3";
    insta::assert_snapshot!(explained(line, Lang::Es).human(Lang::Es), @r"
    1. mkdir -p /var/www/html/prep
       crea la carpeta /sitio
    2. cd /var/www/html
       si lo anterior salió bien, pasa a la carpeta /var/www/html
    3. tar xzf - -C prep --strip-components=1
       si lo anterior salió bien, desempaca lo que llega por la entrada en /sitio
    4. chmod -R 755 prep
       se acepta y no hace nada
    5. exit 3
       si lo anterior falló, termina la orden
    → al final, si todo salió bien, los cambios al sitio se publican juntos como un corte; si no, se descartan
    ");
    insta::assert_snapshot!(explained(line, Lang::En).human(Lang::En), @r"
    1. mkdir -p /var/www/html/prep
       makes folder /sitio
    2. cd /var/www/html
       if that went well, goes to folder /var/www/html
    3. tar xzf - -C prep --strip-components=1
       if that went well, unpacks what comes in into /sitio
    4. chmod -R 755 prep
       is accepted and does nothing
    5. exit 3
       if that failed, ends the line
    → at the end, if all went well, the changes to the site are published together as one cut; otherwise they are dropped
    ");
}

#[test]
fn packages_and_programs_are_told() {
    let lines = [
        "cat > p.tar.gz.tmp && mv p.tar.gz.tmp paquetes/p.tar.gz",
        "cat > p.tar.gz",
        "scp -pt paquetes",
        "internal-sftp",
        "bash -s",
        "",
        "unzip -o x.tmp -d sitio && rm x.tmp",
        "zcat x.tmp | tar x -C n && sha256sum -c < S",
    ];
    let told: String = lines
        .iter()
        .map(|line| {
            format!(
                "$ {}\n{}",
                if line.is_empty() { "(nada)" } else { line },
                explained(line, Lang::Es).human(Lang::Es)
            )
        })
        .collect();
    insta::assert_snapshot!(told, @r"
    $ cat > p.tar.gz.tmp && mv p.tar.gz.tmp paquetes/p.tar.gz
    1. cat > p.tar.gz.tmp
       copia lo que llega por la conexión y lo guarda en /p.tar.gz.tmp
    2. mv p.tar.gz.tmp paquetes/p.tar.gz
       si lo anterior salió bien, mueve /p.tar.gz.tmp a /paquetes/p.tar.gz: al terminar es un paquete, se verifica y se publica
    $ cat > p.tar.gz
    1. cat > p.tar.gz
       copia lo que llega por la conexión y lo guarda en /p.tar.gz: al terminar es un paquete, se verifica y se publica
    $ scp -pt paquetes
    1. scp -pt paquetes
       recibe archivos por scp en /paquetes
    $ internal-sftp
    1. internal-sftp
       atiende una sesión sftp
    $ bash -s
    1. bash -s
       lee un guion por la entrada, línea por línea, con estas mismas reglas
    $ (nada)
    1. (sin orden)
       dice qué está publicado
    $ unzip -o x.tmp -d sitio && rm x.tmp
    1. unzip -o x.tmp -d sitio
       desempaca /x.tmp en /sitio
    2. rm x.tmp
       si lo anterior salió bien, borra /x.tmp
    → al final, si todo salió bien, los cambios al sitio se publican juntos como un corte; si no, se descartan
    $ zcat x.tmp | tar x -C n && sha256sum -c < S
    1. zcat x.tmp | tar x -C n
       descomprime /x.tmp | desempaca lo que llega por la entrada en /n
    2. sha256sum -c < S
       si lo anterior salió bien, comprueba las sumas que llegan (SHA256) leyendo /S
    ");
}

#[test]
fn a_refusal_has_its_exit_status() {
    let told = explained("cd x && systemctl reload nginx", Lang::En);
    assert!(!told.supported && told.steps.is_empty());
    assert_eq!(told.exit, 127);
    assert!(told.human(Lang::En).ends_with("exit status: 127\n"));
}

#[test]
fn machines_read_the_same() {
    let json = serde_json::to_string(&explained("false || sync", Lang::En)).unwrap();
    insta::assert_snapshot!(json, @r#"{"command":"false || sync","supported":true,"exit":0,"steps":[{"when":"always","command":"false","does":"does nothing and fails","ignored":false},{"when":"failure","command":"sync","does":"is accepted and does nothing","ignored":true}]}"#);
}
