//! The header with which a balancer says who is behind it (PROXY protocol, version 2,
//! haproxy's proxy-protocol.txt section 2.2).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Reads the header at the beginning of `stream`. `None` where the balancer speaks for
/// itself (LOCAL: it looks whether we live). Reads not a byte beyond the header, and at most
/// [`HEADER_BYTES_MAX`]; anything else than a header is an error.
pub async fn behind_proxy<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<IpAddr>> {
    let mut fixed = [0; 16];
    stream.read_exact(&mut fixed).await?;
    let [start @ .., command, family, high, low] = fixed;
    let bytes = usize::from(u16::from_be_bytes([high, low]));
    if start != *SIGNATURE || command >> 4 != 2 || bytes > HEADER_BYTES_MAX {
        return Err(malformed());
    }
    let mut rest = vec![0; bytes];
    stream.read_exact(&mut rest).await?;
    match (command & 0xf, family >> 4) {
        (0, _) => Ok(None),
        (1, 1) => first::<4>(&rest, 12).map(|octets| Some(Ipv4Addr::from(octets).into())),
        (1, 2) => {
            first::<16>(&rest, 36).map(|octets| Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()))
        }
        _ => Err(malformed()),
    }
}

/// The source address, where the block of addresses is whole.
fn first<const N: usize>(rest: &[u8], block: usize) -> io::Result<[u8; N]> {
    let whole = rest.len() >= block;
    rest.first_chunk::<N>().copied().filter(|_| whole).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a PROXY protocol header of version 2")
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Addresses and the notes behind them; haproxy itself keeps below 536.
const HEADER_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &len, rest].concat()
    }

    async fn read(bytes: &[u8]) -> io::Result<Option<IpAddr>> {
        behind_proxy(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn the_source_is_read_and_nothing_behind_the_header() {
        let four = [[192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 3, 4].as_slice(), b"note"].concat();
        let bytes = [header(0x21, 0x11, &four), b"SSH-2.0-x\r\n".to_vec()].concat();
        let mut stream = bytes.as_slice();
        let found = behind_proxy(&mut stream).await.unwrap();
        assert_eq!((found, stream), (Some([192, 0, 2, 7].into()), b"SSH-2.0-x\r\n".as_slice()));
        let six = ["2001:db8::7", "::1"].map(|a| a.parse::<Ipv6Addr>().unwrap().octets());
        let six = [six.concat().as_slice(), &[0; 4]].concat();
        assert_eq!(read(&header(0x21, 0x21, &six)).await.unwrap(), "2001:db8::7".parse().ok());
        let mapped = [[0; 10].as_slice(), &[255, 255, 192, 0, 2, 7], &[0; 20]].concat();
        assert_eq!(read(&header(0x21, 0x21, &mapped)).await.unwrap(), "192.0.2.7".parse().ok());
        assert_eq!(read(&header(0x20, 0, b"")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for bytes in [
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\nSSH-2.0-x\r\n".to_vec(),
            b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n".to_vec(),
            header(0x11, 0x11, &[0; 12]),
            header(0x22, 0x11, &[0; 12]),
            header(0x21, 0x31, &[0; 216]),
            header(0x21, 0x11, &[0; 11]),
            header(0x21, 0x11, &[0; 2000]),
            header(0x21, 0x11, &[0; 12])[..20].to_vec(),
        ] {
            assert!(read(&bytes).await.is_err(), "{bytes:?}");
        }
    }
}
