{{- define "lockc.labels" -}}
app.kubernetes.io/name: lockc
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "lockc.selector" -}}
app.kubernetes.io/name: lockc
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lockc.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* What pods of a namespace of a level may ask for, as a list in CEL. */}}
{{- define "lockc.allowed" -}}
{{- $names := list "restricted" -}}
{{- if ne .level "restricted" }}{{ $names = concat $names (list "baseline" "offline") }}{{ end -}}
{{- if eq .level "privileged" }}{{ $names = append $names "privileged" }}{{ end -}}
{{- range $name, $levels := .policies }}{{ if has $.level $levels }}{{ $names = append $names $name }}{{ end }}{{ end -}}
['{{ join "', '" (sortAlpha $names) }}']
{{- end -}}
