package cli

import (
	"testing"
	"testing/fstest"
)

func TestMemoryLimit(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name  string
		files map[string]string
		env   string
		want  int64
	}{
		{"no control groups", nil, "", 0},
		{"a container's", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n"}, "", 107374182},
		{"the operator's own", map[string]string{"sys/fs/cgroup/memory.max": "134217728\n"}, "100MiB", 0},
		{"none", map[string]string{"sys/fs/cgroup/memory.max": "max\n"}, "", 0},
		{"a service's", map[string]string{
			"proc/self/cgroup": "0::/system.slice/bridge.service\n", "sys/fs/cgroup/system.slice/bridge.service/memory.max": "209715200\n",
			"sys/fs/cgroup/system.slice/memory.max": "max\n",
		}, "", 160 * mib},
		{"the smaller one around it", map[string]string{
			"proc/self/cgroup": "0::/pods/bridge\n", "sys/fs/cgroup/pods/bridge/memory.max": "209715200\n",
			"sys/fs/cgroup/pods/memory.max": "104857600\n",
		}, "", 80 * mib},
		{"the older version", map[string]string{
			"proc/self/cgroup": "4:memory:/docker/x\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "104857600\n",
		}, "", 80 * mib},
		{"the older version's none", map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, "", 0},
		{"nonsense", map[string]string{"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/memory.max": "-5\n"}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range c.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := memoryLimit(root, func(string) string { return c.env }); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
