package integration

import "syscall"

// dieWithParent lets the kernel kill the bridge when the test process dies in
// whatever way.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
