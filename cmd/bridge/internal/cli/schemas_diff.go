package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/schemas"
)

func newSchemasDiff(stop *stopper) *cobra.Command {
	var path string
	asJSON := false
	cmd := &cobra.Command{
		Use:   "diff <entity or event>",
		Short: "Tell what is different in Salesforce from the registry's latest version",
		Long: `Tell what is different in Salesforce from the registry's latest version.

Differences in docs alone are counted and no more: they make no version, and say
nothing about records.

Exit codes are those of diff(1) and the bridge's own: 0 the same, 1 different
(also if nothing is registered yet), 2 usage or configuration, 3 something is
unreachable, refuses us or does not exist.`,
		Example: "  bridge schemas diff Account\n  bridge schemas diff Order__e --json",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := openDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			found, err := d.diff(stop.intake, args[0])
			if err != nil {
				return asEnvironment(err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), found)
			} else {
				err = found.print(cmd.OutOrStdout())
			}
			if err == nil && !found.Same {
				return exit(pipeline.ExitRuntime, errReported)
			}
			return asEnvironment(err)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// schemaDiff is Salesforce's schema seen from the registry's.
type schemaDiff struct {
	Event      string      `json:"event"`
	SchemaID   string      `json:"schema_id"`
	Subject    string      `json:"subject"`
	Version    int         `json:"version,omitempty"`
	RegistryID int         `json:"registry_id,omitempty"`
	Same       bool        `json:"same"`
	Registered bool        `json:"registered"`
	Changes    []fieldDiff `json:"changes"`
	Docs       int         `json:"docs,omitempty"` // differences in docs alone
	changes    schemas.Changes
}

type fieldDiff struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

func (d *desk) diff(ctx context.Context, name string) (schemaDiff, error) {
	if err := d.needsRegistry(); err != nil {
		return schemaDiff{}, err
	}
	t := d.find(name)
	now, err := d.current(ctx, t)
	if err != nil {
		return schemaDiff{}, err
	}
	out := schemaDiff{Event: now.Name, SchemaID: now.ID, Changes: []fieldDiff{}}
	if out.Subject, _, err = d.subject(t, now); err != nil {
		return schemaDiff{}, err
	}
	at, err := d.registry.LatestLine(ctx, out.Subject)
	if _, none := errors.AsType[*schemas.NotRegisteredError](err); none {
		return out, nil
	}
	if err != nil {
		return schemaDiff{}, err
	}
	out.Registered, out.Subject, out.Version, out.RegistryID = true, at.Subject, at.Version, at.ID
	all := schemas.Diff(at.Schema, now)
	out.changes = all.Structural()
	out.Docs = len(all) - len(out.changes)
	for _, c := range out.changes {
		out.Changes = append(out.Changes, fieldDiff{Kind: string(c.Kind), Path: c.Path, Old: c.Old, New: c.New})
	}
	out.Same = len(out.changes) == 0
	return out, nil
}

func (s schemaDiff) print(w io.Writer) error {
	if !s.Registered {
		_, err := fmt.Fprintf(w, "%s: nothing is registered under %s; Salesforce has the schema %s\n", s.Event, s.Subject, s.SchemaID)
		return err
	}
	verdict := "the same"
	if !s.Same {
		verdict = "different"
	}
	_, err := fmt.Fprintf(w, "%s: Salesforce's schema %s and %s version %d (id %d) are %s\n",
		s.Event, s.SchemaID, s.Subject, s.Version, s.RegistryID, verdict)
	for _, c := range s.changes {
		_, lineErr := fmt.Fprintf(w, "  %s\n", c)
		err = errors.Join(err, lineErr)
	}
	if s.Docs > 0 {
		_, docErr := fmt.Fprintf(w, "  (%d differences in docs alone, which make no version)\n", s.Docs)
		err = errors.Join(err, docErr)
	}
	return err
}
