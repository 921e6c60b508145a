//go:build !linux

package controlplane

import (
	"os/exec"
	"syscall"
)

// tieToUs gives the child a process group of its own, so that Ctrl-C in a terminal reaches only us and the order of
// stopping is ours. Only Linux can end it when we are killed.
func tieToUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
