package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

func newConfigFromConfluent() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "from-confluent <connector.json>",
		Short: "Translate the configuration of a Confluent connector for Salesforce",
		Long: `Translate the configuration of a Confluent connector for Salesforce: of the CDC, the
Platform Event and the PushTopic source, self-managed or in Confluent Cloud.

The file is what GET /connectors/NAME of Kafka Connect answers, or the config alone;
- reads standard input. The bridge's configuration goes to standard output, and what
could not be carried over to standard error: every key of the connector is either in
the translation or named there, with the reason. No secret is copied: each one becomes
a reference to an environment variable, and the list of those comes with it.

The replay id that the connector has reached is in its worker's offsets, and not in its
configuration: see bridge positions import.`,
		Example: `  bridge config from-confluent connector.json > bridge.yaml
  curl -s http://connect:8083/connectors/sf-cdc | bridge config from-confluent - > bridge.yaml
  bridge config from-confluent connector.json --json | jq '.keys[] | select(.fate == "undecided")'`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readInput(args[0], cmd.InOrStdin())
			if err != nil {
				return exit(pipeline.ExitUsage, err)
			}
			made, err := config.FromConfluent(text)
			if err != nil {
				return exit(pipeline.ExitUsage, fmt.Errorf("%s: %w", args[0], err))
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), made)
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), made.YAML); err != nil {
				return err
			}
			_, err = io.WriteString(cmd.ErrOrStderr(), leftBehind(made))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON, with the translation under yaml")
	return cmd
}

// mostConnector bounds what is read: a connector's configuration has some hundred
// keys.
const mostConnector = 1 << 20

// readInput reads a file, or standard input for -.
func readInput(path string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the file that the user names
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, mostConnector+1))
	if err == nil && len(text) > mostConnector {
		err = errors.New(path + " is too large for a connector's configuration")
	}
	return text, err
}

// leftBehind tells what could not be carried over.
func leftBehind(t *config.Translation) string {
	var b strings.Builder
	group := func(title string, lines []string) {
		if len(lines) > 0 {
			b.WriteString("\n" + title + "\n  " + strings.Join(lines, "\n  ") + "\n")
		}
	}
	keys := func(f config.Fate) (lines []string) {
		for _, k := range t.Of(f) {
			lines = append(lines, k.Key+": "+k.Note)
		}
		return lines
	}
	fmt.Fprintf(&b, "%d of %d keys of the connector are in the translation as they were.\n", len(t.Of(config.Carried)), len(t.Keys))
	group("To be decided:", keys(config.Undecided))
	group("Not known to the translation:", keys(config.UnknownKey))
	group("Not said by the connector:", t.Missing)
	group("Without a meaning for the bridge:", keys(config.Meaningless))
	var variables []string
	for _, p := range t.Placeholders {
		variables = append(variables, fmt.Sprintf("%s for %s: %s", p.Name, p.For, p.Note))
	}
	group("Environment variables to be set:", variables)
	b.WriteString("\nThen: bridge config validate, and bridge positions import for the replay id that the connector has reached.\n")
	return b.String()
}
