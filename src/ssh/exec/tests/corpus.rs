//! Remote command lines as real deployment scripts write them: what is served unchanged,
//! and what is refused with a sentence.

use super::super::plan::plan;
use super::*;

/// Lines that are run; the setup ignores `sudo` and reads scripts.
const SERVED: &[&str] = &[
    "tar xzf - -C /var/www/html/prep",
    "tar -xzf - -C /var/www/html/prep",
    "cd /var/www/html && tar xzvf -",
    "cd /var/www/html/prep && tar -xzf ../prep.tar.gz && rm ../prep.tar.gz",
    "mkdir -p /var/www/html/prep && tar xzf /tmp/prep.tar.gz -C /var/www/html/prep --strip-components=1",
    "rm -rf /var/www/html/prep/* && tar xf - -C /var/www/html/prep",
    "tar -xvf /tmp/dist.tar -C /var/www && rm -f /tmp/dist.tar",
    "tar --overwrite -zxf dist.tar.gz -C ./public --no-same-owner",
    "gunzip -c prep.tar.gz | tar xf - -C sitio",
    "gzip -dc < prep.tar.gz | tar xf - -C sitio",
    "cat prep.tar.gz | tar xzf - -C sitio",
    "cat > prep.tar.gz",
    "cat > ~/paquetes/prep.tar.gz.tmp && mv ~/paquetes/prep.tar.gz.tmp ~/paquetes/prep.tar.gz",
    "cat >> prep.tar.gz",
    "cat > '/var/www/html/prep/con espacio.html'",
    "unzip -o /tmp/prep.zip -d /var/www/html/prep && rm /tmp/prep.zip",
    "cd /var/www; unzip -qo build.zip; rm build.zip",
    "sha256sum -c prep.tar.gz.sha256",
    "cd paquetes && md5sum -c prep.md5 && mv prep.tar.gz.part prep.tar.gz",
    "md5sum prep.tar.gz",
    "cksum prep.tar.gz",
    "sha512sum prep.tar.gz 2>/dev/null",
    "mkdir -p releases/20240602 && cp -r current/. releases/20240602/",
    "mv -f nuevo/* sitio/ && rmdir nuevo",
    "test -d sitio || mkdir -p sitio",
    "[ -f prep.tar.gz ] && mv prep.tar.gz prep.bak || true",
    "if_exists=1 test -e x",
    "ls -la /var/www/html",
    "ls -1t paquetes",
    "ls *.tar.gz 2> /dev/null",
    "df -h / && du -sh sitio",
    "date '+%Y-%m-%d %H:%M:%S'; whoami; hostname; pwd; id -un; uname -a",
    "sudo chown -R www-data:www-data /var/www/html/prep && sudo chmod -R 755 /var/www/html/prep",
    "find /var/www/html/prep -type d -exec chmod 755 {} \\; ; find /var/www/html/prep -type f -exec chmod 644 {} \\;",
    "find paquetes -name '*.tar.gz' -mtime +7 -delete",
    "sudo rm -rf /var/www/html/old; sudo mv /var/www/html/new /var/www/html/prep",
    "touch sitio/.listo; sync; sleep 1; echo \"listo\"",
    "stat -c %s prep.tar.gz; wc -c < prep.tar.gz",
    "scp -t /var/www/html/prep",
    "scp -r -p -d -t -- sitio/",
    "scp -qprt 'sitio'",
    "/usr/lib/openssh/sftp-server",
    "internal-sftp -f AUTH -l INFO",
    "rsync --server -logDtprze.iLsfxCIvu --delete . /var/www/html/prep/",
    "mkdir -p /var/www/html/prep && rsync --server -vlogDtprze.iLsfxCIvu . /var/www/html/prep/",
    "umask 002; nice ionice -c3 rsync --server -e.LsfxCIvu . sitio/",
    "env LC_ALL=C tar xpf -",
    "bash -s",
    "bash -se",
    "/bin/sh",
    "bash -c 'cd sitio && tar xzf -'",
    "bash -lc \"set -euo pipefail; mkdir -p sitio; tar xzf - -C sitio\"",
    "set -e\ncd sitio\ntar xzf ../prep.tar.gz\nrm ../prep.tar.gz\nexit 0\n",
    "true",
    "exit",
    "",
];

/// Lines that are refused before anything is done.
const REFUSED: &[&str] = &[
    "sudo systemctl reload nginx",
    "service nginx restart",
    "pm2 restart prep",
    "cd /srv/prep && docker compose up -d",
    "cd /srv/prep && git pull && npm ci",
    "/opt/prep/publicar.sh",
    "bash /opt/prep/publicar.sh",
    "bash deploy.sh prod",
    "sh -x ./deploy.sh",
    "cd $HOME/prep && ls",
    "mv sitio sitio.$(date +%F)",
    "for f in *.gz; do gunzip $f; done",
    "if [ -d x ]; then rm -rf x; fi",
    "ln -sfn releases/20240602 current",
    "tar czf - sitio",
    "tar cf backup.tar sitio && tar xf -",
    "scp -f prep.tar.gz",
    "rsync -a sitio/ backup/",
    "nohup ./deploy.sh > /dev/null 2>&1 &",
    "cat prep.tar.gz | ssh otro 'cat > x'",
    "ps aux | grep nginx",
    "tail -f /var/log/nginx/access.log",
    "chmod 755 $(find . -type d)",
    "cp {a,b}.html sitio/",
    "( cd sitio; tar xf - )",
    "find sitio -exec rm -rf {} \\;",
    "find . -name '*.php' | xargs rm",
    "tee sitio/x < y",
    "nc -l 9999",
    "tar xf - --to-command='sh -c id'",
    "tar xf - --checkpoint-action=exec=id",
    "tar xf p.tar -I 'sh -c id'",
    "env -S 'sh -c id'",
    "wget http://otro/x",
    "base64 -d > x",
    "eval ls",
    "command -v tar",
];

#[test]
fn scripts_of_the_field_are_served_or_refused_as_a_whole() {
    let bench = Bench::with(|setup| {
        (setup.sudo, setup.scripts) = (Sudo::Ignore, Scripts::Read);
        setup.rsync = Some(Arc::new(|_, _, _, _, _| 0));
    });
    for line in SERVED {
        assert!(
            plan(line.as_bytes(), bench.setup.permits()).is_ok(),
            "{line}: {:?}",
            plan(line.as_bytes(), bench.setup.permits())
        );
    }
    for line in REFUSED {
        assert!(plan(line.as_bytes(), bench.setup.permits()).is_err(), "{line}");
    }
}

#[test]
fn every_command_of_the_table_is_named_once() {
    let names: Vec<_> = builtins::names().collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len());
    for name in names.iter().filter(|name| **name != "exit") {
        assert!(builtins::find(name).is_some(), "{name}");
    }
}
