{{/* Names and labels. */}}

{{- define "mcp-taskgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Shorter than a name may be, so that "-admin" has room. */}}
{{- define "mcp-taskgate.fullname" -}}
{{- $name := include "mcp-taskgate.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- end -}}

{{- define "mcp-taskgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mcp-taskgate.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "mcp-taskgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "mcp-taskgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "mcp-taskgate.metadata" -}}
name: {{ include "mcp-taskgate.fullname" . | quote }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "mcp-taskgate.labels" . | nindent 2 }}
{{- end -}}

{{- define "mcp-taskgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mcp-taskgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mcp-taskgate.claimName" -}}
{{- default (include "mcp-taskgate.fullname" .) .Values.persistence.existingClaim -}}
{{- end -}}

{{- define "mcp-taskgate.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/* What follows from the configuration. */}}

{{/* level, memory or redis; other where nobody can tell. */}}
{{- define "mcp-taskgate.store" -}}
{{- $url := dig "store" "url" "" .Values.config | toString -}}
{{- if hasPrefix "level:" $url -}}level
{{- else if eq "memory:" $url -}}memory
{{- else if regexMatch "^rediss?(\\+cluster|\\+sentinel)?://" $url -}}redis
{{- else -}}other
{{- end -}}
{{- end -}}

{{/* Seconds of a duration such as 20s, rounded up; empty for what is none. */}}
{{- define "mcp-taskgate.seconds" -}}
{{- $text := toString . -}}
{{- if regexMatch "^[0-9]+(ms|s|m|h|d)$" $text -}}
{{- $count := regexFind "^[0-9]+" $text | int64 -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- if eq $unit "ms" -}}{{ div (add $count 999) 1000 }}
{{- else -}}{{ mul $count (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How long a pod takes to stop: the sleep of preStop counts towards the grace period, and what comes after the calls takes some seconds. */}}
{{- define "mcp-taskgate.stopSeconds" -}}
{{- $drain := include "mcp-taskgate.seconds" .Values.config.limits.drainTimeout | int64 -}}
{{- $delay := include "mcp-taskgate.seconds" (default "0ms" .Values.config.limits.shutdownDelay) | int64 -}}
{{- add .Values.preStopSeconds $delay $drain 10 -}}
{{- end -}}

{{/* Hosts from outside the cluster, as JSON. */}}
{{- define "mcp-taskgate.publicHosts" -}}
{{- $ingress := ternary .Values.ingress.hosts list .Values.ingress.enabled -}}
{{- $route := ternary .Values.httpRoute.hostnames list .Values.httpRoute.enabled -}}
{{- concat $ingress $route | uniq | toJson -}}
{{- end -}}

{{/* The configuration that the gateway gets, as YAML. */}}
{{- define "mcp-taskgate.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if not (hasKey $config.listen "allowedHosts") -}}
{{- $full := include "mcp-taskgate.fullname" . -}}
{{- $space := printf "%s.%s" $full .Release.Namespace -}}
{{- $names := list $full $space (printf "%s.svc" $space) (printf "%s.svc.%s" $space .Values.clusterDomain) -}}
{{- $_ := set $config.listen "allowedHosts" (concat $names (include "mcp-taskgate.publicHosts" . | fromJsonArray)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/*
A hash of what the gateway cannot take over while it runs, for an annotation of the pods. A gateway that watches its file
takes over servers and these limits.
*/}}
{{- define "mcp-taskgate.restartHash" -}}
{{- $config := include "mcp-taskgate.config" . | fromYaml -}}
{{- if eq (toString $config.reload) "watch" -}}
{{- $limits := omit $config.limits "maxBody" "maxConnections" "shutdownDelay" "drainTimeout" "total" "perCaller" "perRoute" -}}
{{- $config = merge (dict "limits" $limits) (omit $config "servers" "limits") -}}
{{- end -}}
{{- toJson $config | sha256sum -}}
{{- end -}}
