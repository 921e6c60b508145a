package process

import "syscall"

// apart gives a child a process group of its own, so that Ctrl-C reaches only us, and ends it when we are killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
