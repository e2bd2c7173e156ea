package cli

import (
	"fmt"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/schemas"
)

// openRegistry makes the registry's client. Without a registry the encoder puts
// a fingerprint of the schema into a header.
func (b *bridge) openRegistry() error {
	r := b.cfg.Registry
	if r.URL == "" || b.cfg.Format == config.FormatRaw || b.cfg.Format == config.FormatJSON && !r.JSONSchema {
		return nil
	}
	tls, err := r.TLS.Client()
	if err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("registry.tls: %w", err))
	}
	b.registry, err = schemas.NewRegistry(schemas.RegistryConfig{
		URLs: []string{r.URL}, Username: r.Username, Password: r.Password.Reveal(), BearerToken: r.BearerToken.Reveal(),
		TLS: tls, UserAgent: "bridge/" + build().Version,
		LookUpOnly: !r.AutoRegister, NewSubject: r.OnIncompatible == config.IncompatibleNewSubject,
	})
	if err != nil {
		return exit(pipeline.ExitUsage, err)
	}
	return nil
}
