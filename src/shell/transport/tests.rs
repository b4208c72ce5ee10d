//! The state of a Tor daemon, as its SOCKS port and the results of dials show it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A port that answers every greeting with these bytes.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(greeting, [5, 1, 2]);
            stream.write_all(answer).await.unwrap();
        }
    });
    address
}

async fn next(transport: &mut LinkTransport) -> Connectivity {
    transport.reach.changed().await.unwrap();
    transport.reach.borrow_and_update().clone()
}

fn through(socks: SocketAddr) -> LinkTransport {
    LinkTransport::through_daemon(&DaemonConfig {
        socks,
        control: None,
        onion: None,
    })
}

#[tokio::test]
async fn daemon_is_ready_only_after_it_has_carried_a_link() {
    let mut transport = through(answering(&[5, 2]).await);
    let unknown = next(&mut transport).await;
    let Connectivity::Unverified(reason) = &unknown else {
        panic!("{unknown:?}");
    };
    assert!(reason.contains("tor.control"), "{reason}");
    transport.reporter().connected();
    assert_eq!(next(&mut transport).await, Connectivity::Up);
    transport.reporter().failed(DialError::TorUnreachable);
    assert!(matches!(
        next(&mut transport).await,
        Connectivity::Unverified(_)
    ));
}

#[tokio::test]
async fn port_that_isolates_nothing_or_is_no_socks_port_is_down() {
    let answers: [(&[u8], &str); 3] = [
        (&[5, 0], "PreferSOCKSNoAuth"),
        (&[5, 0xff], "PreferSOCKSNoAuth"),
        (b"514 Authentication required.\r\n", "does not speak SOCKS5"),
    ];
    for (answer, part) in answers {
        let mut transport = through(answering(answer).await);
        let down = next(&mut transport).await;
        let Connectivity::Down(reason) = &down else {
            panic!("{down:?}");
        };
        assert!(reason.contains(part), "{reason}");
    }
}
