// Command bridge keeps Kafka a truthful, complete and timely copy of what
// happens in a Salesforce org.
package main

import (
	"os"

	"github.com/sfbridge/bridge/cmd/bridge/internal/cli"
)

func main() {
	cli.LimitMemory()
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
