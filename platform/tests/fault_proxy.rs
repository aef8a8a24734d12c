//! The fault proxy does to connections what it says.

use std::{io::ErrorKind, time::Duration};

use lectern_platform::testing::{FaultProxy, Mode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

const SHORT: Duration = Duration::from_millis(200);

/// A server that sends back what it gets.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn connect(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn round(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"hello").await?;
    let mut back = [0; 5];
    stream.read_exact(&mut back).await?;
    assert_eq!(&back, b"hello");
    Ok(())
}

#[tokio::test]
async fn passes_and_delays_and_cuts() {
    let proxy = FaultProxy::start(echo().await).await;
    let mut stream = connect(&proxy).await;
    round(&mut stream).await.unwrap();

    proxy.set(Mode::Delay(SHORT)).await;
    let began = Instant::now();
    round(&mut stream).await.unwrap();
    assert!(began.elapsed() >= SHORT * 2, "there and back");

    proxy.set(Mode::Pass).await;
    proxy.cut();
    assert!(round(&mut stream).await.is_err());
    round(&mut connect(&proxy).await).await.unwrap();

    proxy.set(Mode::CutAfter(7)).await;
    let mut stream = connect(&proxy).await;
    stream.write_all(b"0123456789").await.unwrap();
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got).await;
    assert_eq!(got, b"0123456");
    assert_eq!(proxy.connections(), 3);
}

#[tokio::test]
async fn refuses_and_resets() {
    let proxy = FaultProxy::start(echo().await).await;
    let mut old = connect(&proxy).await;
    round(&mut old).await.unwrap();
    proxy.set(Mode::Refuse).await;
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(round(&mut old).await.is_err());

    proxy.set(Mode::Pass).await;
    let mut old = connect(&proxy).await;
    round(&mut old).await.unwrap();
    proxy.set(Mode::Reset).await;
    let mut byte = [0];
    assert_eq!(old.read(&mut byte).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    // The reset may come while the connection is being made.
    if let Ok(mut new) = TcpStream::connect(proxy.address()).await {
        assert!(new.read(&mut byte).await.is_err());
    }
}

#[tokio::test]
async fn a_half_open_connection_says_nothing_and_may_heal() {
    let proxy = FaultProxy::start(echo().await).await;
    let mut old = connect(&proxy).await;
    round(&mut old).await.unwrap();
    proxy.set(Mode::HalfOpen).await;
    let mut new = connect(&proxy).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        assert!(timeout(SHORT, stream.read_exact(&mut back)).await.is_err());
    }
    proxy.set(Mode::Pass).await;
    for stream in [&mut old, &mut new] {
        let mut back = [0; 5];
        timeout(Duration::from_secs(5), stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"hello");
    }
}

#[tokio::test]
async fn answers_http_requests_itself() {
    let proxy = FaultProxy::start(echo().await).await;
    proxy.answer_next(1, 503);
    let mut stream = connect(&proxy).await;
    let request =
        [b"PUT / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n".to_vec(), vec![b'x'; 1_000_000]].concat();
    stream.write_all(&request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    round(&mut connect(&proxy).await).await.unwrap();
    assert_eq!(proxy.answered(), 1);
}
