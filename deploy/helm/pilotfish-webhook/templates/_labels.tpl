{{- define "pilotfish.labels" -}}
app.kubernetes.io/name: pilotfish-webhook
app.kubernetes.io/part-of: pilotfish
{{- end }}
{{- define "pilotfish.service" -}}
service:
  name: pilotfish-webhook
  namespace: {{ .Release.Namespace }}
  path: /inject
  port: 443
{{- end }}
