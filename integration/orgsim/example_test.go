package orgsim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"strings"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// A record is made, and a client of the org reads the event from the beginning.
func Example() {
	org, err := orgsim.New(orgsim.Config{Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := org.Create("Account", orgsim.Fields{"Name": "Acme", "BillingCity": "Lyon"}); err != nil {
		log.Fatal(err)
	}
	token, err := org.Issue("")
	if err != nil {
		log.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: org.RoundTripper(), Jar: jar}
	post := func(message string) string {
		req, err := http.NewRequest(http.MethodPost, "https://acme.my.salesforce.com/cometd/66.0", strings.NewReader(message))
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			log.Fatal(err)
		}
		return string(body)
	}
	var hello []struct{ ClientID string }
	if err := json.Unmarshal([]byte(post(`{"channel":"/meta/handshake","supportedConnectionTypes":["long-polling"]}`)), &hello); err != nil {
		log.Fatal(err)
	}
	id := hello[0].ClientID
	post(`{"channel":"/meta/connect","connectionType":"long-polling","clientId":"` + id + `"}`)
	post(`{"channel":"/meta/subscribe","subscription":"/data/AccountChangeEvent","ext":{"replay":{"/data/AccountChangeEvent":-2}},"clientId":"` + id + `"}`)
	reply := post(`{"channel":"/meta/connect","connectionType":"long-polling","clientId":"` + id + `"}`)

	fmt.Println(strings.Contains(reply, `"BillingAddress":{"City":"Lyon"}`), len(org.Ledger()), org.Ledger()[0].ChangeType)
	// Output: true 1 CREATE
}
