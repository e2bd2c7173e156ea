package java

import (
	"errors"
	"testing"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/kafkatest/maven"
)

func TestMissing(t *testing.T) {
	var unavailable *kafkatest.UnavailableError
	if err := missing(&maven.ToolError{Tool: "mvn", Reason: "not found"}); !errors.As(err, &unavailable) {
		t.Errorf("without mvn: %v", err)
	}
	if err := missing(&maven.RunError{Tool: "javac"}); errors.As(err, &unavailable) {
		t.Errorf("a program that does not compile: %v", err)
	}
}
