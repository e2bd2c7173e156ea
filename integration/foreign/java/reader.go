package java

import (
	"regexp"
	"testing"

	"github.com/sfbridge/bridge/integration/foreign"
)

const readerPom = "pom.xml"

// Reader makes the reader of topics. A test that measures calls it first, to have
// the download outside.
func Reader(tb testing.TB) *foreign.Reader {
	tb.Helper()
	return &foreign.Reader{Language: "Java", Command: build(tb, readerPom, "src/main/java/Reader.java").command}
}

// Libraries names those that the reader is about, with their versions.
func Libraries() string {
	pom, err := projects.ReadFile(readerPom)
	if err != nil {
		return err.Error()
	}
	out := ""
	for _, found := range regexp.MustCompile(`<artifactId>(kafka-clients|avro)</artifactId>\s*<version>([^<]+)`).FindAllSubmatch(pom, -1) {
		if out != "" {
			out += ", "
		}
		out += string(found[1]) + " " + string(found[2])
	}
	return out
}
