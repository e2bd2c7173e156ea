package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// memoryLimit is what the bridge is held to: what the chart requests for it.
const memoryLimit = 128 << 10 // KiB

// memory is the resident size of the bridge now, and the largest that it has
// had, in KiB. It is read from the kernel while the process lives: what wait4
// reports afterwards is at least the size of the test process at the moment of
// its fork. Where there is no such file both are 0.
func (p *process) memory(tb testing.TB) (now, peak int) {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		tb.Log("no resident size to be had:", err)
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		for name, v := range map[string]*int{"VmRSS:": &now, "VmHWM:": &peak} {
			rest, ok := strings.CutPrefix(line, name)
			if !ok {
				continue
			}
			if *v, err = strconv.Atoi(strings.Fields(rest)[0]); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if peak == 0 {
		tb.Fatalf("no VmHWM in %s", text)
	}
	return now, peak
}
