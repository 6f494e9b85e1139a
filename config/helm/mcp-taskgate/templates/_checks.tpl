{{/* Fails with every contradiction in the values, a line for each: the value, and what was expected. */}}
{{- define "mcp-taskgate.check" -}}
{{- $problems := list -}}
{{- range list "listener" "store" "variables" "secrets" "hosts" "server" "rest" -}}
{{- $found := include (printf "mcp-taskgate.check.%s" .) $ | trim -}}
{{- if $found -}}{{- $problems = append $problems $found -}}{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- printf "\n%s\n" (join "\n" $problems) | fail -}}
{{- end -}}
{{- end -}}

{{/* Whether a value is a port that a program without privileges may take. */}}
{{- define "mcp-taskgate.isPort" -}}
{{- $port := toString . -}}
{{- if and (regexMatch "^[0-9]{4,5}$" $port) (ge (int $port) 1024) (le (int $port) 65535) -}}yes{{- end -}}
{{- end -}}

{{/* Whether only the pod itself reaches a host. */}}
{{- define "mcp-taskgate.isLoopback" -}}
{{- if regexMatch "^(localhost|127\\..*|\\[?::1\\]?)$" (toString .) -}}yes{{- end -}}
{{- end -}}

{{- define "mcp-taskgate.check.listener" -}}
{{- $listen := .Values.config.listen | default dict -}}
{{- $admin := .Values.config.admin | default dict -}}
{{- range $section, $settings := dict "listen" $listen "admin" $admin -}}
{{- if not (include "mcp-taskgate.isPort" $settings.port) }}
config.{{ $section }}.port: must be a number from 1024 to 65535, which the probes, the Service and the network policy name as well, got {{ $settings.port | toJson }}
{{- end }}
{{- if and $settings (include "mcp-taskgate.isLoopback" (default "127.0.0.1" $settings.host)) }}
config.{{ $section }}.host: must be an address that others reach, such as 0.0.0.0 or "::": the node's probes and the Service come from outside the pod, got {{ $settings.host | toJson }}
{{- end }}
{{- end }}
{{- if and $listen.port (eq (toString $listen.port) (toString $admin.port)) }}
config.admin.port: must not be the port of config.listen, which is {{ $listen.port }} as well
{{- end }}
{{- $limits := .Values.config.limits | default dict -}}
{{- if not (include "mcp-taskgate.seconds" $limits.drainTimeout) }}
config.limits.drainTimeout: must be a duration such as 20s, because the pod gets ten seconds more to stop, got {{ $limits.drainTimeout | toJson }}
{{- else if .Values.terminationGracePeriodSeconds }}
{{- $least := include "mcp-taskgate.stopSeconds" . | int -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) $least }}
terminationGracePeriodSeconds: must be {{ $least }} or more (preStopSeconds, config.limits.shutdownDelay, config.limits.drainTimeout and ten seconds), got {{ .Values.terminationGracePeriodSeconds }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "mcp-taskgate.check.store" -}}
{{- $store := include "mcp-taskgate.store" . -}}
{{- $url := dig "store" "url" "" .Values.config -}}
{{- $one := printf "%s: belongs to one gateway; several share a Redis, config.store.url: redis://…" $store -}}
{{- if eq $store "other" }}
config.store.url: must begin with level:, memory:, redis:// or rediss:// (redis+cluster, redis+sentinel), because the replicas, their strategy and the volume follow from it; take only a password, user or host from a variable
{{- else if ne $store "redis" }}
{{- if gt (int .Values.replicas) 1 }}
replicas: must be 1, got {{ .Values.replicas }}: {{ $one }}
{{- end }}
{{- if .Values.autoscaling.enabled }}
autoscaling.enabled: must be false: {{ $one }}
{{- end }}
{{- if .Values.podDisruptionBudget.enabled }}
podDisruptionBudget.enabled: must be false, because it would protect nothing, or keep nodes from being drained: {{ $one }}
{{- end }}
{{- end }}
{{- if and (eq $store "level") (not (regexMatch "^level:/data(/[A-Za-z0-9_-]+)*/?$" $url)) }}
config.store.url: must be level:/data or a folder below it, where the volume is: the rest of the file system is read-only, got {{ $url | toJson }}
{{- end }}
{{- if .Values.autoscaling.enabled }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
autoscaling.maxReplicas: must be minReplicas ({{ .Values.autoscaling.minReplicas }}) or more, got {{ .Values.autoscaling.maxReplicas }}
{{- end }}
{{- if and .Values.autoscaling.targetCPUUtilizationPercentage (not (dig "requests" "cpu" "" (.Values.resources | default dict))) }}
resources.requests.cpu: missing: autoscaling.targetCPUUtilizationPercentage is a part of it
{{- end }}
{{- if not (or .Values.autoscaling.targetCPUUtilizationPercentage .Values.autoscaling.metrics) }}
autoscaling: must have targetCPUUtilizationPercentage or metrics, else nothing says how many replicas are needed
{{- end }}
{{- end }}
{{- if and (eq $store "redis") (not (dig "store" "encryptionKeys" "" .Values.config)) }}
{{- $why := list -}}
{{- if eq "authorization" (dig "callers" "identify" "" .Values.config | toString) -}}
{{- $why = append $why "config.callers.identify: authorization" -}}
{{- end -}}
{{- range $name, $server := .Values.config.servers -}}
{{- if dig "upstream" "forwardHeaders" "" $server -}}
{{- $why = append $why (printf "config.servers.%s.upstream.forwardHeaders" $name) -}}
{{- end -}}
{{- end -}}
{{- if $why }}
config.store.encryptionKeys: missing: calls carry the credentials of their callers ({{ join ", " $why }}), which are stored only encrypted, and without them no other replica can go on with a call; expected a list such as ["${TASKGATE_KEY}"], and secretEnv.TASKGATE_KEY
{{- end }}
{{- end }}
{{- end -}}

{{/* Variables that config refers to, and where they come from. */}}
{{- define "mcp-taskgate.check.variables" -}}
{{- $text := mustToRawJson .Values.config | replace "$${" "" -}}
{{- $names := list -}}
{{- range regexFindAll "\\$\\{[^}\"]*\\}?" $text -1 | uniq -}}
{{- $name := . | trimPrefix "${" | trimSuffix "}" -}}
{{- if not (and (hasSuffix "}" .) (regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" $name)) }}
config: {{ . | quote }} does not name a variable; a plain "${" is written "$${"
{{- else if not (or (hasKey $.Values.env $name) (hasKey $.Values.secretEnv $name)) }}
secretEnv.{{ $name }}: missing, but config says {{ . }}: name the Secret that has it, as { name: SECRET, key: KEY }, or give the value in env.{{ $name }}
{{- end }}
{{- end }}
{{- range $name, $from := .Values.secretEnv }}
{{- $from := $from | default dict -}}
{{- range list "name" "key" }}
{{- if not (get $from .) }}
secretEnv.{{ $name }}.{{ . }}: missing: must be the {{ ternary "name of a Secret that there is" "key in the Secret" (eq . "name") }}
{{- end }}
{{- end }}
{{- if hasKey $.Values.env $name }}
env.{{ $name }}: is in secretEnv as well; give it once
{{- end }}
{{- end }}
{{- range $name, $value := .Values.env }}
{{- if kindIs "invalid" $value }}
env.{{ $name }}: must have a value, got null
{{- end }}
{{- end }}
{{- end -}}

{{/* Secrets that everybody who may read the ConfigMap could read. */}}
{{- define "mcp-taskgate.check.secrets" -}}
{{- $given := dict -}}
{{- $config := .Values.config -}}
{{- range list "token" "readToken" -}}
{{- $_ := set $given (printf "config.admin.%s" .) (dig "admin" . "" $config) -}}
{{- end -}}
{{- range $index, $key := dig "store" "encryptionKeys" list $config | default list -}}
{{- $_ := set $given (printf "config.store.encryptionKeys[%d]" $index) $key -}}
{{- end -}}
{{- $_ := set $given "config.store.url" (regexFind "://[^/@]*:[^/@]+@" (dig "store" "url" "" $config)) -}}
{{- range $name, $hook := $config.webhooks | default dict -}}
{{- range list "secret" "previousSecret" -}}
{{- $_ := set $given (printf "config.webhooks.%s.%s" $name .) (dig . "" $hook) -}}
{{- end -}}
{{- end -}}
{{- range $name, $server := $config.servers -}}
{{- range $where := list "headers" "env" -}}
{{- range $key, $value := dig "upstream" $where dict ($server | default dict) | default dict -}}
{{- if regexMatch "(?i)authorization|cookie|api.?key|token|secret|passw" $key -}}
{{- $_ := set $given (printf "config.servers.%s.upstream.%s.%s" $name $where $key) $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $setting, $value := $given -}}
{{- if and $value (not (contains "${" (toString $value))) }}
{{ $setting }}: would be readable in the ConfigMap; must be "${NAME}", with the Secret that has it in secretEnv.NAME
{{- end }}
{{- end }}
{{- end -}}

{{/* Hosts that clients ask for and that the gateway has to know. */}}
{{- define "mcp-taskgate.check.hosts" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
ingress.hosts: must name at least one host, which the gateway is then told to answer
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
httpRoute.parentRefs: must name the Gateway, as { name: GATEWAY, namespace: NAMESPACE }
{{- end }}
{{- $allowed := dig "listen" "allowedHosts" list .Values.config | default list -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.hostnames) (not $allowed) }}
httpRoute.hostnames: must name at least one host, which the gateway is then told to answer; or give config.listen.allowedHosts
{{- end }}
{{- range include "mcp-taskgate.publicHosts" . | fromJsonArray }}
{{- if and (contains "*" .) (not $allowed) }}
config.listen.allowedHosts: missing: must name the hosts that {{ . }} stands for, because the gateway compares whole names
{{- else if and $allowed (not (contains "*" .)) (not (has . $allowed)) (not (contains "${" (toJson $allowed))) }}
config.listen.allowedHosts: must have {{ . }}, a host of ingress or httpRoute: the gateway would refuse every request for it
{{- end }}
{{- end }}
{{- range .Values.ingress.tls }}
{{- range .hosts }}
{{- if and $.Values.ingress.enabled (not (has . $.Values.ingress.hosts)) }}
ingress.tls: {{ . }} must be one of ingress.hosts
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A server in the pod, and the addresses of servers there. */}}
{{- define "mcp-taskgate.check.server" -}}
{{- $config := .Values.config -}}
{{- if not $config.servers }}
config.servers: must have at least one server, such as reports: { upstream: { url: "http://reports.tools.svc.cluster.local:3001/mcp" } }
{{- end }}
{{- $container := .Values.server -}}
{{- $ports := list -}}
{{- range $container.ports -}}{{- $ports = append $ports (toString .containerPort) -}}{{- end -}}
{{- $local := list -}}
{{- range $name, $server := $config.servers -}}
{{- $url := dig "upstream" "url" "" ($server | default dict) | toString -}}
{{- $setting := printf "config.servers.%s.upstream.url" $name -}}
{{- $parts := urlParse (ternary "" $url (contains "${" $url)) -}}
{{- $port := default (ternary "443" "80" (eq $parts.scheme "https")) (regexFind ":[0-9]+$" $parts.host | trimPrefix ":") -}}
{{- if include "mcp-taskgate.isLoopback" (regexReplaceAll ":[0-9]+$" $parts.host "") -}}
{{- $local = append $local $name -}}
{{- if not $container }}
{{ $setting }}: {{ $parts.host }} is the pod itself, where only `server` would start one; must be the address of a Service, or give server
{{- else if and $ports (not (has $port $ports)) }}
{{ $setting }}: must have a port of server.ports ({{ join ", " $ports }}), got {{ $port }}
{{- end }}
{{- end }}
{{- end }}
{{- if $container }}
{{- range list "name" "image" }}
{{- if not (get $container .) }}
server.{{ . }}: missing: server is a container, with a name and an image
{{- end }}
{{- end }}
{{- if eq "taskgate" (toString $container.name) }}
server.name: must not be taskgate, the name of the gateway's container
{{- end }}
{{- if not $local }}
config.servers: none has the address of server; expected an upstream.url such as http://127.0.0.1:{{ first (append $ports "3001") }}/mcp
{{- end }}
{{- range list $config.listen $config.admin }}
{{- if has (dig "port" "" (default dict .) | toString) $ports }}
server.ports: must not have {{ .port }}, a port of the gateway in the same pod
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "mcp-taskgate.check.rest" -}}
{{- if and (ne .Values.monitor.kind "none") .Values.networkPolicy.enabled (not .Values.networkPolicy.monitoring) }}
networkPolicy.monitoring: must name the pods that scrape, because monitor.kind is {{ .Values.monitor.kind }} and nobody else reaches the admin port
{{- end }}
{{- range $section, $names := dict "config.servers" .Values.config.servers "config.webhooks" .Values.config.webhooks "env" .Values.env "secretEnv" .Values.secretEnv }}
{{- range $name, $_ := $names }}
{{- if has $name (list "true" "false") }}
{{ $section }}.{{ $name }}: must be in quotes: helm reads y, yes and on as true, and n, no and off as false
{{- end }}
{{- end }}
{{- end }}
{{- if not .Values.image.repository }}
image.repository: missing: must be where you have pushed the image
{{- end }}
{{- end -}}
