//! A TCP proxy whose faults are chosen at run time: between Lectern and its database, its broker, its object store.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream, tcp},
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

/// What happens to connections, those there are and those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes go through.
    Pass,
    /// Each piece of at most 64 KiB waits this long first.
    Delay(Duration),
    /// A connection is closed once it has brought this many bytes of answers.
    CutAfter(u64),
    /// Connections are closed and nobody listens.
    Refuse,
    /// Connections are reset, new ones as soon as they come.
    Reset,
    /// Connections stay, new ones are taken, and not a byte goes through either way until the mode changes.
    HalfOpen,
}

#[derive(Debug)]
struct Control {
    mode: watch::Sender<Mode>,
    /// Raised by every cut.
    cuts: watch::Sender<u64>,
    listening: watch::Sender<bool>,
    /// HTTP requests still to be answered here, and the status.
    answers: std::sync::Mutex<(u32, u16)>,
    connections: AtomicU64,
    answered: AtomicU64,
}

/// A running proxy; ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    control: Arc<Control>,
    task: AbortHandle,
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.control.cuts.send_modify(|cuts| *cuts += 1);
        self.task.abort();
    }
}

/// Why a connection ends, other than by its two ends.
enum End {
    Close,
    Reset,
    Answer(u16),
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `upstream` (`host:port`).
    pub async fn start(upstream: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let control = Arc::new(Control {
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            listening: watch::Sender::new(true),
            answers: std::sync::Mutex::default(),
            connections: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        });
        let task = tokio::spawn(listen(listener, address, upstream.into(), control.clone())).abort_handle();
        Self { address, control, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the mode; returns once it holds for new connections.
    pub async fn set(&self, mode: Mode) {
        self.control.mode.send_replace(mode);
        let mut listening = self.control.listening.subscribe();
        let _ = listening.wait_for(|listening| *listening == (mode != Mode::Refuse)).await;
    }

    /// Closes every connection that there is; new ones are as the mode says.
    pub fn cut(&self) {
        self.control.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Answers the next `count` HTTP requests with `status` and closes their connections.
    pub fn answer_next(&self, count: u32, status: u16) {
        *self.control.answers.lock().expect("not poisoned") = (count, status);
    }

    /// Connections taken so far.
    pub fn connections(&self) -> u64 {
        self.control.connections.load(Ordering::SeqCst)
    }

    /// HTTP requests answered here so far.
    pub fn answered(&self) -> u64 {
        self.control.answered.load(Ordering::SeqCst)
    }
}

async fn listen(listener: TcpListener, address: SocketAddr, upstream: String, control: Arc<Control>) {
    let mut mode = control.mode.subscribe();
    let mut listener = Some(listener);
    loop {
        if *mode.borrow_and_update() == Mode::Refuse {
            listener = None;
            control.listening.send_replace(false);
            let _ = mode.changed().await;
            continue;
        }
        let listener = listener.get_or_insert_with(|| rebind(address));
        control.listening.send_replace(true);
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = mode.changed() => continue,
        };
        if let Ok((client, _)) = accepted {
            control.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(client, upstream.clone(), control.clone()));
        }
    }
}

fn rebind(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option of every socket");
    socket.bind(address).expect("the port is still free");
    socket.listen(1_024).expect("a bound socket listens")
}

async fn serve(mut client: TcpStream, upstream: String, control: Arc<Control>) {
    let mut cuts = control.cuts.subscribe();
    cuts.mark_unchanged();
    let mut server = None;
    let end = tokio::select! {
        end = forward(&mut client, &mut server, &upstream, &control) => end,
        _ = cuts.changed() => Some(End::Close),
    };
    match end {
        Some(End::Reset) => {
            let _ = client.set_zero_linger();
            if let Some(server) = &server {
                let _ = server.set_zero_linger();
            }
        }
        Some(End::Answer(status)) => answer(&mut client, status).await,
        Some(End::Close) | None => {}
    }
}

async fn forward(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    upstream: &str,
    control: &Control,
) -> Option<End> {
    let mut mode = control.mode.subscribe();
    while *mode.borrow_and_update() == Mode::HalfOpen {
        mode.changed().await.ok()?;
    }
    let server = server.insert(TcpStream::connect(upstream).await.ok()?);
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = pump(from_client, to_server, control, true);
    let down = pump(from_server, to_client, control, false);
    tokio::try_join!(up, down).err()
}

/// Carries bytes one way until their source ends or a fault ends the connection.
async fn pump(
    mut from: tcp::ReadHalf<'_>,
    mut to: tcp::WriteHalf<'_>,
    control: &Control,
    requests: bool,
) -> Result<(), End> {
    let mut mode = control.mode.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    let mut carried = 0;
    loop {
        let mut left = None;
        let now = *mode.borrow_and_update();
        match now {
            Mode::Refuse => return Err(End::Close),
            Mode::Reset => return Err(End::Reset),
            Mode::HalfOpen => {
                mode.changed().await.map_err(|_| End::Close)?;
                continue;
            }
            Mode::CutAfter(bytes) if !requests => left = Some(bytes.saturating_sub(carried)),
            _ => {}
        }
        if left == Some(0) {
            return Err(End::Close);
        }
        let most = left.map_or(buffer.len(), |left| buffer.len().min(left as usize));
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read.map_err(|_| End::Close)?,
            _ = mode.changed() => continue,
        };
        if read == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        if requests && is_request(&buffer[..read]) {
            let mut answers = control.answers.lock().expect("not poisoned");
            if answers.0 > 0 {
                answers.0 -= 1;
                control.answered.fetch_add(1, Ordering::SeqCst);
                return Err(End::Answer(answers.1));
            }
        }
        // The mode may have changed while the bytes came.
        let now = *mode.borrow();
        match now {
            Mode::Delay(pause) => sleep(pause).await,
            Mode::Refuse => return Err(End::Close),
            Mode::Reset => return Err(End::Reset),
            Mode::HalfOpen => {
                mode.wait_for(|mode| *mode != Mode::HalfOpen).await.map_err(|_| End::Close)?;
            }
            Mode::Pass | Mode::CutAfter(_) => {}
        }
        to.write_all(&buffer[..read]).await.map_err(|_| End::Close)?;
        carried += read as u64;
    }
}

/// Whether a piece is the beginning of an HTTP/1.1 request. Clients write the head of a request in one piece.
fn is_request(piece: &[u8]) -> bool {
    [&b"GET "[..], b"PUT ", b"HEAD ", b"POST ", b"DELETE ", b"PATCH "]
        .iter()
        .any(|method| piece.starts_with(method))
}

async fn answer(client: &mut TcpStream, status: u16) {
    let head = format!("HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = client.write_all(head.as_bytes()).await;
    let _ = client.shutdown().await;
    // Whatever was still under way is read, or the kernel would reset the connection before the answer is.
    let mut buffer = vec![0; 64 * 1024];
    let drain = async { while let Ok(1..) = client.read(&mut buffer).await {} };
    let _ = timeout(Duration::from_secs(2), drain).await;
}
