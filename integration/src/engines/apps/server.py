"""A server that uses what servers in Python use: threads, child processes, shared memory, asyncio, SQLite."""

import asyncio
import concurrent.futures
import http.server
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile


def square(n):
    return n * n


async def child():
    process = await asyncio.create_subprocess_exec("id", "-u", stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            threads = sum(pool.map(square, range(10)))
        user = subprocess.run(["id", "-u"], capture_output=True, check=True, text=True).stdout.strip()
        with tempfile.NamedTemporaryFile() as file:
            database = sqlite3.connect(file.name)
            database.execute("create table t (n)")
            database.execute("insert into t values (6 * 7)")
            database.commit()
            row = database.execute("select n from t").fetchone()[0]
        body = f"threads {threads} processes {PROCESSES} children {user}={CHILD} sqlite {row}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def stop(*_):
    print("stopped", flush=True)
    os._exit(0)


if __name__ == "__main__":
    with multiprocessing.Pool(2) as workers:
        PROCESSES = sum(workers.map(square, range(10)))
    CHILD = asyncio.run(child())
    signal.signal(signal.SIGTERM, stop)
    print("started", sys.version, flush=True)
    http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
