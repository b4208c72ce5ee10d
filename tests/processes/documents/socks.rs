//! The SOCKS port of a Tor daemon that does not exist: it connects to loopback, and nothing else.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A SOCKS5 server that demands a user name, as whisht requires.
pub(super) struct SocksProxy(SocketAddr);

impl SocksProxy {
    /// Starts a server that leads the onion service of this name to `target`.
    pub(super) fn start(onion: &'static str, target: &str) -> Self {
        let target: SocketAddr = target.parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that breaks the protocol loses its connection.
                thread::spawn(move || serve(stream, onion, target));
            }
        });
        Self(address)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.0
    }
}

fn serve(mut client: TcpStream, onion: &str, target: SocketAddr) -> io::Result<()> {
    let [_, methods] = read::<2>(&mut client)?;
    read_vec(&mut client, methods)?;
    client.write_all(&[5, 2])?;
    let [_, user] = read::<2>(&mut client)?;
    read_vec(&mut client, user)?;
    let [password] = read::<1>(&mut client)?;
    read_vec(&mut client, password)?;
    client.write_all(&[1, 0])?;

    let [.., kind] = read::<4>(&mut client)?;
    let destination = match kind {
        1 => {
            let ip = Ipv4Addr::from(read::<4>(&mut client)?);
            let port = u16::from_be_bytes(read::<2>(&mut client)?);
            ip.is_loopback().then_some(SocketAddr::from((ip, port)))
        }
        3 => {
            let [length] = read::<1>(&mut client)?;
            let name = read_vec(&mut client, length)?;
            read::<2>(&mut client)?;
            name.starts_with(onion.as_bytes()).then_some(target)
        }
        _ => None,
    };
    let Some(server) = destination.and_then(|address| TcpStream::connect(address).ok()) else {
        return client.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
    };
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let back = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || relay(back.0, back.1));
    relay(client, server);
    Ok(())
}

/// Copies bytes until one side ends.
fn relay(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // A closed connection cannot be closed again.
    let _closed = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_vec(stream: &mut TcpStream, length: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
