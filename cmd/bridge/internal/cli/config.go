package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check or translate a configuration, or print the reference of all keys",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigValidate(), newConfigReference(), newConfigFromConfluent())
	return cmd
}

func newConfigValidate() *cobra.Command {
	var path string
	asJSON := false
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration file and tell every problem at once",
		Long: `Check a configuration file and tell every problem at once, with its line.
Environment variables and files that it refers to are read; nothing is connected to.`,
		Example: "  bridge config validate -c bridge.yaml\n  bridge config validate -c bridge.yaml --json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, problems, err := config.Load(path, config.OSEnv())
			if err != nil {
				return exit(pipeline.ExitUsage, err)
			}
			if asJSON {
				if err := writeJSON(cmd.OutOrStdout(), struct {
					Valid    bool             `json:"valid"`
					Problems []config.Problem `json:"problems"`
				}{!config.HasErrors(problems), problems}); err != nil {
					return err
				}
			} else if err := printProblems(cmd.OutOrStdout(), problems); err != nil {
				return err
			}
			if config.HasErrors(problems) {
				return exit(pipeline.ExitUsage, errReported)
			}
			if !asJSON {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: valid\n", path)
			}
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func newConfigReference() *cobra.Command {
	return &cobra.Command{
		Use:     "reference",
		Short:   "Print every key with its default, unit and meaning, as a configuration file",
		Example: "  bridge config reference > bridge.yaml",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Reference())
			return err
		},
	}
}

func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "bridge.yaml", "configuration file")
}

// loadConfig reads the configuration of a command that needs a valid one.
// Problems go to w, all of them.
func loadConfig(path string, w io.Writer) (*config.Config, error) {
	cfg, problems, err := config.Load(path, config.OSEnv())
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	if err := printProblems(w, problems); err != nil {
		return nil, err
	}
	if config.HasErrors(problems) {
		return nil, exit(pipeline.ExitUsage, errReported)
	}
	return cfg, nil
}

func printProblems(w io.Writer, problems []config.Problem) error {
	for _, p := range problems {
		if _, err := fmt.Fprintln(w, p); err != nil {
			return err
		}
	}
	return nil
}
