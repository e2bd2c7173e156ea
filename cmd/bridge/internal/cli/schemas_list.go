package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/schemas"
)

func newSchemasList(stop *stopper) *cobra.Command {
	var path string
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List each stream's schema, and whether the registry has it",
		Long: `List each stream's schema, and whether the registry has it.

For each kind of event: Salesforce's present schema id, the subject, and the
version and id under which the registry has that schema. The state is one of:
in sync, differs (the subject has another schema; see 'bridge schemas diff'),
not registered, no registry, unseen (a channel of several kinds: which ones is
told by what came on it), or problem. Nothing is registered.`,
		Example: "  bridge schemas list -c bridge.yaml\n  bridge schemas list --json | jq '.[] | select(.in_sync | not)'",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			rows, err := d.list(stop.intake)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), rows)
			}
			return printSchemaRows(cmd.OutOrStdout(), rows)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// schemaRow is one kind of event.
type schemaRow struct {
	Channel    string `json:"channel"`
	Event      string `json:"event,omitempty"`
	Object     string `json:"object,omitempty"`
	SchemaID   string `json:"schema_id,omitempty"` // Salesforce's present one
	Topic      string `json:"topic,omitempty"`
	Subject    string `json:"subject,omitempty"` // that has the schema, or would get it
	Version    int    `json:"version,omitempty"`
	RegistryID int    `json:"registry_id,omitempty"`
	InSync     bool   `json:"in_sync"`
	State      string `json:"state"`
	Detail     string `json:"detail,omitempty"`
}

func (d *desk) list(ctx context.Context) ([]schemaRow, error) {
	targets, err := d.all(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]schemaRow, 0, len(targets))
	for _, t := range targets {
		row := schemaRow{Channel: t.channel, Event: t.event, Object: t.object}
		switch err := d.fill(ctx, &row, t); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			row.State, row.Detail = "problem", err.Error()
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (d *desk) fill(ctx context.Context, row *schemaRow, t target) error {
	if t.event == "" {
		row.State = "unseen"
		return nil
	}
	s, err := d.current(ctx, t)
	if err != nil {
		return err
	}
	row.SchemaID = s.ID
	if row.Subject, row.Topic, err = d.subject(t, s); err != nil {
		return err
	}
	if d.registry == nil {
		row.State, row.Subject = "no registry", ""
		return nil
	}
	at, err := d.registry.Lookup(ctx, row.Subject, s)
	if err == nil {
		row.State, row.InSync = "in sync", true
		row.Subject, row.Version, row.RegistryID = at.Subject, at.Version, at.ID
		return nil
	}
	missing, ok := errors.AsType[*schemas.NotRegisteredError](err)
	if !ok {
		return err
	}
	row.State = "not registered"
	if missing.Version > 0 {
		row.State, row.Version, row.RegistryID = "differs", missing.Version, missing.RegistryID
		row.Detail = missing.Changes.String()
	}
	return nil
}

func printSchemaRows(w io.Writer, rows []schemaRow) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(tw, "CHANNEL\tEVENT\tSCHEMA ID\tSUBJECT\tVERSION\tID\tSTATE")
	for _, r := range rows {
		state := r.State
		if r.State == "problem" {
			state += ": " + r.Detail
		}
		_, rowErr := fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Channel, dash(r.Event), dash(r.SchemaID), dash(r.Subject),
			number(r.Version), number(r.RegistryID), state)
		err = errors.Join(err, rowErr)
	}
	return errors.Join(err, tw.Flush())
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}
