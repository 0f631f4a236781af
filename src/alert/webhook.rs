//! JSON by POST. With a secret, two headers prove who sent it and when:
//! `X-Difusor-Timestamp` (seconds) and `X-Difusor-Signature: sha256=HEX`, the HMAC-SHA256 of
//! `TIMESTAMP.BODY`. `X-Difusor-Id` is the same in every try of one message.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Client};

use super::Channel;
use super::message::Message;

pub(super) async fn post(
    channel: &Channel,
    url: &str,
    secret: Option<&str>,
    message: &Message,
    now: Timestamp,
) -> Result<(), String> {
    let mut builder = Client::builder().timeout(channel.timeout).redirect(reqwest::redirect::Policy::none());
    builder = builder.user_agent(concat!("difusor/", env!("CARGO_PKG_VERSION")));
    if let Some(root) = &channel.root {
        let pem = std::fs::read(root).map_err(|e| format!("{}: {e}", root.display()))?;
        let root = Certificate::from_pem(&pem).map_err(|e| e.to_string())?;
        builder = builder.tls_certs_only([root]);
    }
    let client = builder.build().map_err(|e| e.to_string())?;
    let mut request =
        client.post(url).header(CONTENT_TYPE, "application/json").header("X-Difusor-Id", &message.id);
    if let Some(secret) = secret {
        let seconds = now.as_second().to_string();
        request = request.header("X-Difusor-Timestamp", &seconds);
        request = request.header("X-Difusor-Signature", signature(secret, &seconds, &message.json));
    }
    let answer = request.body(message.json.clone()).send().await.map_err(|e| causes(&e))?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("HTTP {}", answer.status().as_u16())) }
}

/// `sha256=` and the HMAC of `seconds.body` in hexadecimal.
pub(super) fn signature(secret: &str, seconds: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(seconds.as_bytes());
    context.update(b".");
    context.update(body);
    let mut text = "sha256=".to_owned();
    for byte in context.sign().as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// An error with what is behind it, without the URL: that may hold a key.
fn causes(error: &reqwest::Error) -> String {
    let mut source = std::error::Error::source(error);
    let mut text =
        if error.is_timeout() { "no answer in time".to_owned() } else { "no connection".to_owned() };
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
