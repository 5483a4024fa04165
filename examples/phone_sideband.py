"""A phone line: a program that the service tells of calls, that answers them, and talks beside them.

What:  verifies the webhook, accepts the call, greets the caller in a session beside it, and hangs up.
Needs: nothing: the simulator holds the call, and the program sends itself the webhook. With an account: a number that
       leads there, a public address, OPENAI_WEBHOOK_SECRET, and another target.
Run:   python examples/phone_sideband.py
"""

import base64
import hmac
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import rtsync
from rtsync.simulator import SimulatorServer
from rtsync.web import IncomingCalls, status_of

SECRET = "of the webhook"  # the real one: leave it out, and set OPENAI_WEBHOOK_SECRET
finished = threading.Event()


def converse(session: rtsync.RealtimeSession, incoming: rtsync.IncomingCall) -> None:
    print("calling:", incoming.sip_header("From"))
    print("model:", session.respond(instructions="Greet the caller.").wait(timeout=60).transcript)
    finished.set()  # Returning hangs up. Until the caller does: for event in session.events(): ...


class Webhook(BaseHTTPRequestHandler):
    calls: IncomingCalls

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        try:
            self.send_response(self.calls.handle(self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
        except rtsync.RealtimeError as error:  # forged, old, replayed; or nobody to answer
            self.send_response(status_of(error))
        self.end_headers()


def announce(url: str) -> None:
    """What the service does when somebody calls."""
    body = b'{"type":"realtime.call.incoming","data":{"call_id":"rtc_1","sip_headers":[{"name":"From","value":"Ada"}]}}'
    head = f"wh_1.{int(time.time())}"
    signed = base64.b64encode(hmac.digest(SECRET.encode(), f"{head}.".encode() + body, "sha256")).decode()
    headers = {"webhook-id": "wh_1", "webhook-timestamp": head[5:], "webhook-signature": f"v1,{signed}"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers)).close()


with SimulatorServer() as simulator, ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
    target = rtsync.OpenAI(base_url=simulator.openai_url, api_key="any")  # the real ones: rtsync.OpenAI() or Azure()
    Webhook.calls = IncomingCalls(target, converse, secret=SECRET, accept={"instructions": "A bakery's phone."})
    threading.Thread(target=server.serve_forever).start()
    announce(f"http://127.0.0.1:{server.server_port}/")
    finished.wait(60)
    server.shutdown()
    Webhook.calls.stop()
    print("[the call is over]")
