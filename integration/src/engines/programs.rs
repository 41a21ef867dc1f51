//! Real programs from Debian packages at `baseline` and at `restricted`: each is started as its image does it, asked for
//! something that takes what it uses (threads, child processes, shared memory, files), and stopped by its signal.
//!
//! At `baseline` the container starts as root, and an entrypoint hands over to the program's own user. At `restricted`
//! another user is named, and the engine is told of a tmpfs where the program keeps its data. With another runtime the
//! same containers are started without levels: what fails there is not the levels' doing.

use super::{Check, Client, Level};
use crate::process::Output;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How a container of the image is started.
pub struct Setup {
    /// Root if there is none.
    pub user: Option<&'static str>,
    /// A tmpfs that everybody may write to.
    pub tmpfs: Option<&'static str>,
    pub program: &'static [&'static str],
}

/// A program.
struct Program {
    name: &'static str,
    baseline: Setup,
    restricted: Setup,
    /// Scripts for a shell inside and what they print. The first one waits until the program serves.
    asks: &'static [(&'static str, &'static str)],
    /// What is sent to the port from outside where there is a network, and what comes back.
    outside: Option<(&'static str, &'static str)>,
    stop_signal: &'static str,
    exit_code: i32,
    /// What the program has logged in the end.
    logged: &'static str,
}

/// How an engine starts, asks and stops a container of the image.
pub trait Hands: Sync {
    /// Starts one in the background; its id.
    fn start(&self, c: &Client, level: Level, name: &str, setup: &Setup, stop_signal: &str) -> Result<String>;
    /// Where it can be reached from outside.
    fn address(&self, c: &Client, id: &str) -> Result<Option<String>>;
    /// Runs a shell script inside.
    fn exec(&self, c: &Client, id: &str, script: &str) -> Result<Output>;
    /// Asks it to end as `stop` does, and waits; the exit code.
    fn stop(&self, c: &Client, id: &str, signal: &str) -> Result<i32>;
    /// Both of its streams.
    fn logs(&self, c: &Client, id: &str) -> Result<String>;
    /// Ends it and removes it.
    fn remove(&self, c: &Client, id: &str) -> Result<()>;
}

const fn root(program: &'static [&'static str]) -> Setup {
    Setup { user: None, tmpfs: None, program }
}

const fn user(user: &'static str, program: &'static [&'static str]) -> Setup {
    Setup { user: Some(user), tmpfs: None, program }
}

const fn user_with_data(user: &'static str, program: &'static [&'static str]) -> Setup {
    Setup { user: Some(user), tmpfs: Some("/data"), program }
}

const GET: &str = "GET / HTTP/1.0\r\n\r\n";
/// Fetches the page as soon as somebody serves it.
const FETCH: &str = "until curl -s http://127.0.0.1:8080/ || curl -s http://127.0.0.1:80/; do sleep 0.1; done";

const SERVE_FILES: &[&str] = &[
    "sh",
    "-c",
    "busybox httpd -f -v -p 8080 -h /usr/share/nginx/html & trap 'kill $!; echo stopped; exit 0' TERM; echo up; wait",
];

static PROGRAMS: [Program; 7] = [
    Program {
        name: "nginx",
        baseline: root(&["nginx", "-g", "daemon off;"]),
        restricted: user("1000:1000", &["nginx", "-c", "/srv/apps/nginx.conf", "-e", "/dev/stderr"]),
        asks: &[(FETCH, "Welcome to nginx"), ("ps ax", "worker process")],
        outside: Some((GET, "Welcome to nginx")),
        stop_signal: "SIGQUIT",
        exit_code: 0,
        logged: "GET / HTTP",
    },
    Program {
        name: "redis",
        baseline: root(&["/srv/apps/redis-entrypoint", "redis-server", "--protected-mode", "no"]),
        restricted: user_with_data("999:999", &["redis-server", "--protected-mode", "no", "--dir", "/data"]),
        asks: &[
            ("until redis-cli ping 2>/dev/null | grep PONG; do sleep 0.1; done", "PONG"),
            ("redis-cli set key value", "OK"),
            // The snapshot is a child's work.
            ("redis-cli save; redis-cli bgsave", "Background saving started"),
            ("redis-cli get key", "value"),
            ("grep Uid: /proc/1/status", "999"),
        ],
        outside: Some(("GET key\r\n", "value")),
        stop_signal: "SIGTERM",
        exit_code: 0,
        logged: "Redis is now ready to exit, bye bye",
    },
    Program {
        name: "postgres",
        baseline: root(&["/srv/apps/postgres-entrypoint", "postgres", "-h", "*"]),
        restricted: user_with_data(
            "998:998",
            &["sh", "-c", "PGDATA=/data/db exec /srv/apps/postgres-entrypoint postgres -h '*' -k /tmp"],
        ),
        asks: &[
            ("until pg_isready -h 127.0.0.1 -U postgres; do sleep 0.1; done", "accepting connections"),
            (
                "psql -h 127.0.0.1 -U postgres -Atc 'create table t as select generate_series(1, 200000) n; analyze t' \
                 -c 'set force_parallel_mode = on' -c 'select sum(n) from t'",
                "20000100000",
            ),
            ("grep Uid: /proc/1/status", "998"),
        ],
        outside: None,
        stop_signal: "SIGINT",
        exit_code: 0,
        logged: "database system is shut down",
    },
    Program {
        name: "python",
        baseline: root(&["python3", "/srv/apps/server.py"]),
        restricted: user("1000:1000", &["python3", "/srv/apps/server.py"]),
        asks: &[(FETCH, "threads 285 processes 285 children")],
        outside: Some((GET, "sqlite 42")),
        stop_signal: "SIGTERM",
        exit_code: 0,
        logged: "stopped",
    },
    Program {
        name: "node",
        baseline: root(&["node", "/srv/apps/server.js"]),
        restricted: user("1000:1000", &["node", "/srv/apps/server.js"]),
        asks: &[(FETCH, "threads 285 children")],
        outside: Some((GET, "files 42")),
        stop_signal: "SIGTERM",
        exit_code: 0,
        logged: "stopped",
    },
    Program {
        name: "java",
        baseline: root(&["java", "/srv/apps/Server.java"]),
        restricted: user("1000:1000", &["java", "/srv/apps/Server.java"]),
        asks: &[(FETCH, "threads 285 children")],
        outside: Some((GET, "files 42")),
        stop_signal: "SIGTERM",
        // 128 + 15: what the machine of Java exits with after its hooks have run.
        exit_code: 143,
        logged: "stopped",
    },
    Program {
        name: "busybox_httpd",
        baseline: root(SERVE_FILES),
        restricted: user("1000:1000", SERVE_FILES),
        asks: &[(FETCH, "Welcome to nginx")],
        outside: Some((GET, "Welcome to nginx")),
        stop_signal: "SIGTERM",
        exit_code: 0,
        logged: "stopped",
    },
];

/// The checks of all programs at these levels.
pub fn checks(hands: &'static dyn Hands, levels: &[Level]) -> Vec<Check> {
    let mut checks = Vec::new();
    for program in &PROGRAMS {
        for &level in levels {
            let setup = if level == Level::Restricted { &program.restricted } else { &program.baseline };
            let body = Box::new(move |c: &Client| serve(hands, c, program, level, setup));
            let name = format!("{}_serves_and_shuts_down_at_{}", program.name, level.word());
            checks.push(Check { name, casemate_only: false, programs: true, body });
        }
    }
    checks
}

fn serve(hands: &dyn Hands, c: &Client, program: &Program, level: Level, setup: &Setup) -> Result<()> {
    let name = format!("{}-{}", program.name.replace('_', "-"), level.word());
    let id = hands.start(c, level, &name, setup, program.stop_signal)?;
    let result = asked(hands, c, program, &id).and_then(|()| {
        let code = hands.stop(c, &id, program.stop_signal)?;
        ensure!(code == program.exit_code, "stopped with exit code {code} instead of {}", program.exit_code);
        let logs = hands.logs(c, &id)?;
        ensure!(logs.contains(program.logged), "\"{}\" is not logged", program.logged);
        Ok(())
    });
    let result = result.with_context(|| format!("the container's log:\n{}", hands.logs(c, &id).unwrap_or_default()));
    hands.remove(c, &id)?;
    result
}

fn asked(hands: &dyn Hands, c: &Client, program: &Program, id: &str) -> Result<()> {
    for (script, answer) in program.asks {
        let output = hands.exec(c, id, &format!("export PATH=$PATH:/usr/lib/postgresql/15/bin; {script}"))?;
        ensure!(output.stdout.contains(answer), "no \"{answer}\": {output}");
    }
    let (Some((request, answer)), Some(address)) = (program.outside, hands.address(c, id)?) else { return Ok(()) };
    let port = match program.name {
        "redis" => 6379,
        "nginx" => hands.exec(c, id, "[ $(id -u) = 0 ] && echo 80 || echo 8080")?.success()?.stdout.trim().parse()?,
        _ => 8080,
    };
    let seen = tell(&address, port, request, answer).with_context(|| format!("{address}:{port} from outside"))?;
    ensure!(seen.contains(answer), "no \"{answer}\" from outside: {seen}");
    Ok(())
}

/// Sends a request and reads until the answer is there, or the end.
fn tell(address: &str, port: u16, request: &str, answer: &str) -> Result<String> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while !seen.contains(answer) {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    Ok(seen)
}
