//go:build !failpoints

package cli

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

// failpoints are nowhere but in a build for tests (-tags failpoints).
type failpoints struct{}

func (*failpoints) producer(client []kgo.Opt, _ string) []kgo.Opt { return client }

func (*failpoints) member(a pipeline.Assigning) pipeline.Assigning { return a }
