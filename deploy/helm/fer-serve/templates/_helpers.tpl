{{- define "fer.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "fer.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fer.labels" -}}
{{ include "fer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "fer.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The resource that threads follow: the limit, or the request where no limit is set. */}}
{{- define "fer.cpus" -}}
{{- if dig "limits" "cpu" "" .Values.resources }}limits.cpu{{ else }}requests.cpu{{ end }}
{{- end }}

{{/* Where the kubelet asks: the second port if there is one, which never speaks TLS. */}}
{{- define "fer.probe" -}}
path: {{ .path }}
port: {{ if .access.adminPort }}admin{{ else }}http{{ end }}
{{- if and .access.tlsSecret (not .access.adminPort) }}
scheme: HTTPS
{{- end }}
{{- end -}}
