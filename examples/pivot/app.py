import json
from http.server import BaseHTTPRequestHandler, HTTPServer

class Pivot(BaseHTTPRequestHandler):
    def do_GET(self):
        greet = {"module": "say", "data": {"text": "This call is recorded"}, "children": {"_": {"module": "sleep", "data": {"duration": 60}}}}
        flow = {"module": "record_call", "data": {"action": "start", "format": "mp3"}, "children": {"_": greet}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(flow).encode())

HTTPServer(("127.0.0.1", 8090), Pivot).serve_forever()
