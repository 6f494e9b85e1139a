vcl 4.1;
# Varnish 7.1 before one gateway, or several on one Redis: /etc/varnish/default.vcl
# With one gateway leave out the lines with gateway-2.

import directors;

# 503 as soon as the gateway begins to stop. One that is busy is not away; one that has gone refuses at once.
probe ready { .url = "/-/health"; .interval = 1s; .timeout = 30s; .window = 1; .threshold = 1; .initial = 1; }

# How long a call may take whose client accepts JSON only, and how long a stream may be quiet; Varnish cuts both after 60 s.
backend gateway_1 { .host = "gateway-1"; .port = "8080"; .probe = ready; .first_byte_timeout = 1h; .between_bytes_timeout = 1h; }
backend gateway_2 { .host = "gateway-2"; .port = "8080"; .probe = ready; .first_byte_timeout = 1h; .between_bytes_timeout = 1h; }

sub vcl_init {
  new gateways = directors.round_robin();
  gateways.add_backend(gateway_1);
  gateways.add_backend(gateway_2);
}

sub vcl_recv {
  # Clients use a connection again, and send no POST a second time that met a closed one; Varnish closes it after 5 s.
  set sess.timeout_idle = 75s;
  set req.backend_hint = gateways.backend();
  # Varnish would answer one session's GET with another session's stream, and turn methods that it does not know into tunnels.
  return (pass);
}

sub vcl_backend_fetch {
  # A POST that meets a connection which the gateway is closing gets 503.
  set bereq.http.Connection = "close";
}

sub vcl_backend_error {
  # A gateway that has refused the connection has nothing of the request yet. What has been sent, Varnish cannot send again.
  if (bereq.retries == 0) {
    set bereq.backend = gateways.backend();
    return (retry);
  }
}

sub vcl_backend_response {
  # Compression would hold events back to the end.
  set beresp.do_gzip = false;
  set beresp.do_gunzip = false;
}
