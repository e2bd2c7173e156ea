//go:build !unix

package kafkatest

import (
	"errors"
	"os"
)

func freeze(*os.Process, bool) error { return errors.ErrUnsupported }
