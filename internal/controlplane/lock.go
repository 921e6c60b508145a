package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"
)

// errLocked means that another process, or another holder in this one, has the lock.
var errLocked = errors.New("locked")

// fileLock is an advisory lock that goes when its holder ends, however it ends. The file stays: removing it would let
// two holders lock two files of one name.
type fileLock struct{ file *os.File }

// tryLock takes the lock or says at once that it can't, with errLocked and the holder in words.
func tryLock(path string) (lock *fileLock, holder string, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, "", err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = file.Close() }()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, holderOf(file), errLocked
		}
		return nil, "", fmt.Errorf("lock %s: %w", path, err)
	}
	if err := errors.Join(file.Truncate(0), writeHolder(file)); err != nil {
		_ = file.Close()
		return nil, "", fmt.Errorf("write the holder to %s: %w", path, err)
	}
	return &fileLock{file: file}, "", nil
}

func writeHolder(file *os.File) error {
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

func holderOf(file *os.File) string {
	content, err := io.ReadAll(io.LimitReader(file, 20))
	pid := strings.TrimSpace(string(content))
	if err != nil || pid == "" {
		return "another process"
	}
	return "process " + pid
}

const lockPoll = 200 * time.Millisecond

// waitLock waits for the lock until ctx ends, and calls busy once if it has to wait.
func waitLock(ctx context.Context, clk clock.WithTicker, path string, busy func(holder string)) (*fileLock, error) {
	ticker := clk.NewTicker(lockPoll)
	defer ticker.Stop()
	for waited := false; ; waited = true {
		lock, holder, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		if !waited {
			busy(holder)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-ticker.C():
		}
	}
}

// release gives the lock up; closing the file is what unlocks it.
func (l *fileLock) release() { _ = l.file.Close() }
