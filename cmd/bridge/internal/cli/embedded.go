package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// served is an HTTP handler on a port of its own.
type served struct {
	url    string
	server *http.Server
	done   chan error
}

// serve listens at once and answers from a goroutine that close waits for.
func serve(ctx context.Context, address string, h http.Handler) (*served, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w; try: another --listen", address, err)
	}
	s := &served{
		url:    "http://" + l.Addr().String(),
		server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second},
		done:   make(chan error, 1),
	}
	go func() { s.done <- s.server.Serve(l) }()
	return s, nil
}

// close ends all connections, held ones too, and waits.
func (s *served) close() error {
	err := s.server.Close()
	if end := <-s.done; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// embedded is everything that the demo needs and a user would have elsewhere:
// an org, a Kafka and a registry, each reachable on loopback.
type embedded struct {
	org      *orgsim.Org
	key      []byte // PEM of the connected app's private key
	orgAt    *served
	kafka    *kfake.Cluster
	registry *served
}

func startEmbedded(ctx context.Context, seed uint64) (e *embedded, err error) {
	e = &embedded{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.org, e.key, err = newOrg(seed); err != nil {
		return e, err
	}
	if e.orgAt, err = serve(ctx, "127.0.0.1:0", e.org.Handler()); err != nil {
		return e, err
	}
	if e.registry, err = serve(ctx, "127.0.0.1:0", srfake.New().Handler()); err != nil {
		return e, err
	}
	e.kafka, err = kfake.NewCluster(kfake.NumBrokers(1))
	return e, err
}

func (e *embedded) close() error {
	var errs []error
	if e.org != nil {
		errs = append(errs, e.org.Close())
	}
	for _, s := range []*served{e.orgAt, e.registry} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	if e.kafka != nil {
		e.kafka.Close()
	}
	return errors.Join(errs...)
}

// newOrg makes a simulated org whose connected app has a key of its own.
func newOrg(seed uint64) (*orgsim.Org, []byte, error) {
	key, text, err := orgsim.NewKey()
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	org, err := orgsim.New(orgsim.Config{Seed: seed, Apps: []orgsim.App{orgsim.DefaultApp(&key.PublicKey)}})
	return org, text, err
}
