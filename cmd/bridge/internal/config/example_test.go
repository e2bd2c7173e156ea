package config_test

import (
	"fmt"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
)

// All problems are told at once.
func ExampleParse() {
	document := `name: Acme
org:
  auth: {type: client_credentials, client_id: "3MVG9", client_secret: "${env:SF_SECRET}"}
streams:
  - channel: /data/Invoice__c
kafka:
  broker: [localhost]
format: json
`
	_, problems := config.Parse([]byte(document), "bridge.yaml", config.Env{})
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// bridge.yaml:1: name: "Acme" is not a name: lower-case letters, digits, and . _ - after the first (try: acme)
	// bridge.yaml:2: org.login_url: login.salesforce.com does not serve client_credentials; the org's My Domain does (try: https://acme.my.salesforce.com)
	// bridge.yaml:3: org.auth.client_secret: environment variable SF_SECRET is not set (try: export SF_SECRET=…)
	// bridge.yaml:5: streams[0].channel: "/data/Invoice__c" is not a Change Data Capture channel (try: /data/Invoice__ChangeEvent)
	// bridge.yaml:6: kafka.brokers: is required (try: brokers: [localhost:9092])
	// bridge.yaml:7: kafka.broker: unknown key (try: kafka.brokers)
}

func ExampleSecret() {
	s := config.NewSecret("hunter2")
	fmt.Printf("%v %q %x %+v\n", s, s, s, struct{ Password config.Secret }{s})
	fmt.Println(s.Reveal())
	// Output:
	// [redacted] [redacted] [redacted] {Password:[redacted]}
	// hunter2
}
