//go:build !linux

package process

import "syscall"

// apart gives a child a process group of its own, so that Ctrl-C reaches only us. Only Linux can end it when we are killed.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
