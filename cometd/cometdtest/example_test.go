package cometdtest_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// Any HTTP client can talk to the server; this one loses its third connection.
func Example() {
	server := &cometdtest.Server{}
	server.Fault = func(r *cometdtest.Request) *cometdtest.Fault {
		if r.N == 3 {
			return &cometdtest.Fault{Drop: true}
		}
		return nil
	}
	client := &http.Client{Transport: server}
	for range 3 {
		response, err := client.Post(cometdtest.URL, "application/json",
			strings.NewReader(`[{"channel":"/meta/connect","id":"1","clientId":"nobody"}]`))
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(body))
	}
	// Output:
	// [{"channel":"/meta/connect","id":"1","error":"403::Unknown client","advice":{"interval":0,"reconnect":"handshake"},"successful":false}]
	// [{"channel":"/meta/connect","id":"1","error":"403::Unknown client","advice":{"interval":0,"reconnect":"handshake"},"successful":false}]
	// error: Post "https://org.example/cometd/66.0": read tcp: connection reset by peer
}
