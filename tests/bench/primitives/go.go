// Go's own: go NAME SECONDS, as the programs of this room in Python (see __init__.py).
package main

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const timers, crowd = 100_000, 20_000

func spawn(n int) {
	for ; n > 0; n -= 100 {
		var left sync.WaitGroup
		left.Add(100)
		for i := 0; i < 100; i++ {
			go left.Done()
		}
		left.Wait()
	}
}

func yield(n int) {
	var left sync.WaitGroup
	left.Add(2)
	for i := 0; i < 2; i++ {
		go func() {
			for i := 0; i < n/2; i++ {
				runtime.Gosched()
			}
			left.Done()
		}()
	}
	left.Wait()
}

func channel(n int) {
	there, back := make(chan int), make(chan int)
	go func() {
		for value := range there {
			back <- value
		}
	}()
	for i := 0; i < n; i++ {
		there <- i
		<-back
	}
	close(there)
}

func buffered(n int) {
	queue := make(chan int, 100)
	go func() {
		for i := 0; i < n; i++ {
			queue <- i
		}
		close(queue)
	}()
	for range queue {
	}
}

func select2(n int) {
	a, b := make(chan int), make(chan int)
	for _, c := range []chan int{a, b} {
		go func() {
			for i := 0; i < n/2; i++ {
				c <- i
			}
		}()
	}
	for i := 0; i < n/2*2; i++ {
		select {
		case <-a:
		case <-b:
		}
	}
}

func select16(n int) {
	cases := make([]reflect.SelectCase, 16)
	for k := range cases {
		c := make(chan int)
		cases[k] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)}
		go func() {
			for i := 0; i < n/16; i++ {
				c <- i
			}
		}()
	}
	for i := 0; i < n/16*16; i++ {
		reflect.Select(cases)
	}
}

func mutex(n int) {
	var lock sync.Mutex
	for i := 0; i < n; i++ {
		lock.Lock()
		lock.Unlock()
	}
}

func timersCancel(n int) {
	all := make([]*time.Timer, timers)
	for ; n > 0; n -= timers {
		for i := range all {
			all[i] = time.AfterFunc(time.Minute, func() {})
		}
		for _, timer := range all {
			timer.Stop()
		}
	}
}

func timersFire(n int) {
	for ; n > 0; n -= timers {
		var left atomic.Int64
		left.Store(timers)
		fired := make(chan bool)
		for i := 0; i < timers; i++ {
			time.AfterFunc(200*time.Millisecond, func() {
				if left.Add(-1) == 0 {
					close(fired)
				}
			})
		}
		<-fired
	}
}

func memory() int {
	status, _ := os.ReadFile("/proc/self/status")
	kilobytes, _ := strconv.Atoi(strings.Fields(strings.SplitAfter(string(status), "RssAnon:")[1])[0])
	return kilobytes * 1024
}

func parked() {
	never := make(chan int)
	runtime.GC()
	before := memory()
	for i := 0; i < crowd; i++ {
		go func() { <-never }()
	}
	runtime.Gosched()
	fmt.Println(float64(memory()-before) / crowd)
}

func measure(function func(int), n int) float64 {
	cpu := func() float64 {
		var used syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &used)
		return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
	}
	start := cpu()
	function(n)
	return cpu() - start
}

func main() {
	name := os.Args[1]
	if name == "parked" {
		parked()
		return
	}
	function := map[string]func(int){
		"spawn": spawn, "yield": yield, "channel": channel, "buffered": buffered, "select-2": select2,
		"select-16": select16, "mutex": mutex, "timers-cancel": timersCancel, "timers-fire": timersFire,
	}[name]
	seconds, _ := strconv.ParseFloat(os.Args[2], 64)
	step := 2000
	if strings.HasPrefix(name, "timers") {
		step = timers
	}
	n := step
	spent := measure(function, n)
	for ; spent < seconds/4 && n < 1e9; spent = measure(function, n) {
		n *= 4
	}
	n = max(int(float64(n)*seconds/max(spent, 1e-6))/step, 1) * step
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(measure(function, n), n)
	}
}
