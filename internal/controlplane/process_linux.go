package controlplane

import (
	"os/exec"
	"syscall"
)

// tieToUs makes the child end when the thread that starts it ends, and gives it a process group of its own, so that
// Ctrl-C in a terminal reaches only us and the order of stopping is ours.
func tieToUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
