//! A message by SMTP, over STARTTLS or TLS from the first byte.

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message as Letter};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::message::Message;
use super::{Channel, Mail, MailTls};

pub(super) async fn send(
    channel: &Channel,
    mail: &Mail,
    password: Option<String>,
    message: &Message,
) -> Result<(), String> {
    let letter = letter(mail, message).map_err(|e| e.to_string())?;
    let tls = tls(channel, mail)?;
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.server)
        .port(mail.port)
        .timeout(Some(channel.timeout))
        .tls(tls);
    if let Some(password) = password.filter(|_| !mail.user.is_empty()) {
        transport = transport.credentials(Credentials::new(mail.user.clone(), password));
    }
    let transport = transport.build::<Tokio1Executor>();
    match tokio::time::timeout(channel.timeout, transport.send(letter)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

fn letter(mail: &Mail, message: &Message) -> Result<Letter, Box<dyn std::error::Error + Send + Sync>> {
    let mut letter = Letter::builder().from(mail.from.parse::<Mailbox>()?).subject(&message.subject);
    for to in &mail.to {
        letter = letter.to(to.parse::<Mailbox>()?);
    }
    letter = letter.message_id(Some(format!("<{}@difusor>", message.id)));
    Ok(letter.header(ContentType::TEXT_PLAIN).body(message.text.clone())?)
}

fn tls(channel: &Channel, mail: &Mail) -> Result<Tls, String> {
    if mail.tls == MailTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(mail.server.clone());
    if let Some(root) = &channel.root {
        let pem = std::fs::read(root).map_err(|e| format!("{}: {e}", root.display()))?;
        let root = Certificate::from_pem(&pem).map_err(|e| e.to_string())?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(root);
    }
    let parameters = parameters.build_rustls().map_err(|e| e.to_string())?;
    Ok(match mail.tls {
        MailTls::Implicit => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}
