{{/*
What each process is: facts of this version, not values. `secrets` are the keys of the Secret that it is given, by the
name of its environment variable; `flows` are what it may reach.
*/}}
{{- define "outrider.components" -}}
api:
  module: outrider.api
  role: API
  http: true
  secrets: {OUTRIDER_SEAL_PUBLIC_KEY: SEAL_PUBLIC_KEY, OUTRIDER_OPERATOR_TOKEN: OPERATOR_TOKEN, OUTRIDER_WEBHOOK_SEAL_PUBLIC_KEY: WEBHOOK_SEAL_PUBLIC_KEY}
  flows: [postgres, nats, dns]
dispatcher:
  module: outrider.dispatcher
  role: DISPATCHER
  consumer: dispatcher
  secrets: {}
  flows: [postgres, nats, dns]
sender:
  module: outrider.sender
  role: SENDER
  secrets: {OUTRIDER_SEAL_PRIVATE_KEY: SEAL_PRIVATE_KEY}
  flows: [postgres, nats, dns, smtp, token]
reply-watcher:
  module: outrider.reply_watcher
  role: REPLY_WATCHER
  secrets: {OUTRIDER_SEAL_PRIVATE_KEY: SEAL_PRIVATE_KEY}
  flows: [postgres, nats, dns, imap, token]
webhooks:
  module: outrider.api.webhooks
  role: API
  secrets: {OUTRIDER_WEBHOOK_SEAL_PRIVATE_KEY: WEBHOOK_SEAL_PRIVATE_KEY}
  flows: [postgres, nats, dns, webhook]
relay:
  module: outrider.api.relay
  role: API
  secrets: {}
  flows: [postgres, nats, dns]
{{- end -}}
