package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/schemas"
)

func newSchemasShow(stop *stopper) *cobra.Command {
	var path string
	asJSON, fromRegistry, fromSalesforce := false, false, false
	cmd := &cobra.Command{
		Use:   "show <entity, event or schema id>",
		Short: "Print a schema, as Salesforce has it now or as the registry has it",
		Long: `Print a schema, as Salesforce has it now or as the registry has it.

From Salesforce (the default) it is the text that the bridge registers: with
logical types, body fields nullable, in the stream's envelope, with docs as
registry.docs says. From the registry it is the latest of the subject, or for a
schema id the version that has this schema, whatever its docs. Gap and
SchemaChange are the bridge's own schemas, of <name>.gaps and
<name>.schema-changes.`,
		Example: `  bridge schemas show Account
  bridge schemas show Order__e --registry
  bridge schemas show TJ7XSrLXBLKw6fpdXgRzSg
  bridge schemas show Gap > gap.avsc`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if fromRegistry && fromSalesforce {
				return exit(pipeline.ExitUsage, errors.New("--registry and --salesforce exclude each other"))
			}
			shown, own := ownSchema(args[0])
			if !own {
				d, err := openDesk(stop.intake, path, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				if shown, err = d.show(stop.intake, args[0], fromRegistry); err != nil {
					return asEnvironment(err)
				}
			}
			if shown.undescribed != nil {
				if _, err := fmt.Fprintln(cmd.ErrOrStderr(), shown.undescribed); err != nil {
					return err
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), shown)
			}
			var text bytes.Buffer
			if err := json.Indent(&text, shown.Schema, "", "  "); err != nil {
				return err
			}
			text.WriteByte('\n')
			_, err := cmd.OutOrStdout().Write(text.Bytes())
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON, with where it comes from")
	cmd.Flags().BoolVar(&fromRegistry, "registry", false, "what the registry has")
	cmd.Flags().BoolVar(&fromSalesforce, "salesforce", false, "what Salesforce has (the default)")
	return cmd
}

// shownSchema is a schema and where it comes from.
type shownSchema struct {
	Event      string          `json:"event"`
	SchemaID   string          `json:"schema_id,omitempty"`
	Subject    string          `json:"subject,omitempty"`
	Version    int             `json:"version,omitempty"`
	RegistryID int             `json:"registry_id,omitempty"`
	Schema     json.RawMessage `json:"schema"`

	undescribed error // why the schema has no docs, if it should have some
}

// ownSchema is one of the bridge's own schemas, which need nothing to be asked.
func ownSchema(name string) (shownSchema, bool) {
	for _, s := range []*schemas.Schema{schemas.Gap(), schemas.SchemaChange()} {
		if name == s.Name {
			return shownSchema{Event: s.Name, Schema: s.JSON}, true
		}
	}
	return shownSchema{}, false
}

func (d *desk) show(ctx context.Context, name string, fromRegistry bool) (shownSchema, error) {
	if fromRegistry {
		if err := d.needsRegistry(); err != nil {
			return shownSchema{}, err
		}
	}
	if isSchemaID(name) {
		s, ok, err := d.byID(ctx, name)
		if err != nil {
			return shownSchema{}, err
		}
		if ok {
			return d.showVersion(ctx, s, fromRegistry)
		}
	}
	t := d.find(name)
	s, err := d.current(ctx, t)
	if err != nil {
		return shownSchema{}, err
	}
	if !fromRegistry {
		return d.showOwn(ctx, s), nil
	}
	subject, _, err := d.subject(t, s)
	if err != nil {
		return shownSchema{}, err
	}
	at, err := d.registry.LatestLine(ctx, subject)
	if err != nil {
		return shownSchema{}, err
	}
	return shownSchema{Event: s.Name, Subject: at.Subject, Version: at.Version, RegistryID: at.ID, Schema: at.Schema.JSON}, nil
}

// showVersion is the schema of an id, which may not be the present one.
func (d *desk) showVersion(ctx context.Context, s *schemas.Schema, fromRegistry bool) (shownSchema, error) {
	t := d.find(s.Name)
	s, err := d.written(t, s)
	if err != nil {
		return shownSchema{}, err
	}
	if !fromRegistry {
		return d.showOwn(ctx, s), nil
	}
	subject, _, err := d.subject(t, s)
	if err != nil {
		return shownSchema{}, err
	}
	at, err := d.registry.Lookup(ctx, subject, s)
	out := shownSchema{Event: s.Name, SchemaID: s.ID, Subject: at.Subject, Version: at.Version, RegistryID: at.ID, Schema: s.JSON}
	if at.Schema != nil {
		out.Schema = at.Schema.JSON // the same with other docs
	}
	return out, err
}

// showOwn is a schema as the bridge would register it.
func (d *desk) showOwn(ctx context.Context, s *schemas.Schema) shownSchema {
	out := shownSchema{Event: s.Name, SchemaID: s.ID, Schema: s.JSON}
	if d.registry == nil {
		return out
	}
	documented, err := d.registry.Documented(ctx, s)
	if err != nil {
		out.undescribed = err
		return out
	}
	out.Schema = documented.JSON
	return out
}
