package cluster_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// owns says whether a process has a TCP socket of this local port on 127.0.0.1, which Linux alone tells.
func owns(pid, port int) (bool, error) {
	inode, err := inodeOf(port)
	if err != nil || inode == "" {
		return false, err
	}
	folder := filepath.Join("/proc", fmt.Sprint(pid), "fd")
	files, err := os.ReadDir(folder)
	if os.IsNotExist(err) { // the process has ended
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, file := range files {
		if target, err := os.Readlink(filepath.Join(folder, file.Name())); err == nil && target == "socket:["+inode+"]" {
			return true, nil
		}
	}
	return false, nil
}

// inodeOf finds the socket of a local port on 127.0.0.1; empty where there is none.
func inodeOf(port int) (string, error) {
	table, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", fmt.Errorf("find out which manager asks: %w", err)
	}
	defer func() { _ = table.Close() }() // it was read
	local := fmt.Sprintf("0100007F:%04X", port)
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[1] == local && fields[9] != "0" {
			return fields[9], nil
		}
	}
	return "", lines.Err()
}
