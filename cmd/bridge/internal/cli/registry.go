package cli

import (
	"context"
	"fmt"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/schemas"
)

// openRegistry makes the registry's client. Without a registry the encoder puts
// a fingerprint of the schema into a header.
func (b *bridge) openRegistry() error {
	r := b.cfg.Registry
	values := b.cfg.Format == config.FormatAvro || b.cfg.Format == config.FormatJSON && r.JSONSchema
	keys := b.cfg.Topics.KeyFormat == config.KeyAvro
	if r.URL == "" || !values && !keys {
		return nil
	}
	tls, err := r.TLS.Client()
	if err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("registry.tls: %w", err))
	}
	registry, err := schemas.NewRegistry(schemas.RegistryConfig{
		URLs: []string{r.URL}, Username: r.Username, Password: r.Password.Reveal(), BearerToken: r.BearerToken.Reveal(),
		TLS: tls, UserAgent: "bridge/" + build().Version,
		LookUpOnly: !r.AutoRegister, NewSubject: r.OnIncompatible == config.IncompatibleNewSubject,
		Describer: b.describer(), Undescribed: b.undescribed,
	})
	if err != nil {
		return exit(pipeline.ExitUsage, err)
	}
	if values {
		b.registry = registry
	}
	if keys {
		b.keys = registry
	}
	return nil
}

// describer is where docs come from, nil where there are none.
func (b *bridge) describer() schemas.Describer {
	if b.cfg.Registry.Docs != config.DocsDescribe {
		return nil
	}
	return fetcher{b.org.rest}
}

// undescribed tells of a schema that is registered without its docs. Its records
// are the same.
func (b *bridge) undescribed(err error) {
	b.log.Warn().Err(err).Msg("a schema is registered without docs")
}

// DescribeObject asks what people call an object and its fields.
func (f fetcher) DescribeObject(ctx context.Context, object string) (*schemas.Description, error) {
	described, err := f.rest.Describe(ctx, object)
	if err != nil {
		return nil, err
	}
	out := &schemas.Description{Label: described.Label, Fields: make([]schemas.FieldDescription, len(described.Fields))}
	for i := range described.Fields {
		one := &described.Fields[i]
		out.Fields[i] = schemas.FieldDescription{Name: one.Name, Label: one.Label, Help: one.HelpText, Type: one.Type}
	}
	return out, nil
}
