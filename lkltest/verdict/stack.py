# SPDX-License-Identifier: GPL-2.0-only
"""The functions of a kernel's stack trace, and which of them a report is about. Pure."""

from __future__ import annotations

import functools
import re

from lkltest.verdict.signatures.form import Frames

_FRAME = re.compile(
    r"(?P<unsure>\? )?(?<![\w.$])\.?(?P<name>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?"
    r"|^\W*(?:\[[^\]]*\]\s*)*(?P<inlined>[A-Za-z_][\w.$]*) \S+\.[chS]:[0-9]+ \[inline\]",
    re.MULTILINE,
)
# What other registers hold may be long past. The link register says who jumped to no function.
_REGISTERS = re.compile(
    r"(?P<pc>\b(?:pc *: |PC is at )[A-Za-z_].*\n).*?\b(?:lr *: |LR is at ).*"
    r"|^.*?\bRegister r[0-9]+ information.*$",
    re.MULTILINE,
)
_SUFFIX = re.compile(r"\.(?:isra|part|constprop|cold|llvm|lto_priv)\b.*|\.[0-9]+$")

_USUAL = """
    add_uevent* aes_* aesti_* __alloc_frozen* alloc_inode alloc_page* __alloc_pages*
    alloc_pages* __alloc_percpu* __alloc_skb alloc_skb* alloc_slab_page allocate_slab
    arch_*read* arch_*spin* arch_*write* arch_atomic* arch_change_*bit* arch_clear_*bit*
    arch_find_*bit* arch_local_* arch_set_*bit* arch_stack_walk arch_test_*bit* __asan* asan_*
    __asan_* asm_exc_* assertfail assign_lock_key async_page_fault atomic* __atomic* _atomic_*
    bad_page* __bad_stack blocking_notifier* brk_handler bug_at* bug_handler bytes_is_*
    cache_alloc* cache_free* call_netdevice_* __call_rcu* call_rcu* call_timer_fn cancel_work*
    __cancel_work* cgroup_rstat_flush* __change_*bit* change_*bit* __check_* check_*object*
    check_and* check_bogus* check_bounds* check_copy* check_deadlock* check_flags* check_for*
    check_heap* check_irq* check_memory_region* check_noncircular* check_object* check_panic*
    check_poison_obj check_preemption* check_prev* check_prevs* check_region_inline
    check_shadow* check_slab* check_stack* check_sync* check_unmap* check_usage* check_wait*
    __chg* cipher_* cleanup_srcu* __clear_*bit* clear_*bit* cmpxchg* complete _cond_resched
    cond_resched copy_*iter* _copy_*iter* __copy_*iter* _copy_from* copy_from* __copy_from*
    *_copy_from_user __copy_in* _copy_in* copy_in* __copy_to* _copy_to* copy_to* *_copy_to_user
    count_memcg* crc16* crc32* crc_* create_object crypto_* csum_* __dabt_svc debug_* __debug_*
    debug_exception* __debug_object* debug_object* *_del_adapter del_timer*
    delayed_work_timer_fn describe_* destroy_workqueue _dev_* dev_alloc_skb __dev_printk
    dev_printk* dev_vprintk* device_add device_del device_destroy device_for_each_child
    device_register device_release device_remove_file device_unregister devres_* die* __die*
    divide_error do_bad_area do_debug_exception do_divide_error do_error_trap
    do_general_protection do_invalid_op __do_k* do_kern_addr_fault* __do_kmalloc* do_mem_abort*
    do_page_fault do_raw_* do_read_cache_folio do_tag_check_fault do_translation_fault do_trap
    do_trap_break do_undef* __down down __down_* down_* dpm_* dput drain_workqueue drbg_*
    drop_nlink __dump_* dump_* dump_stack dump_stack_lvl el1* end_report error_*
    evdev_pass_values exc_* fast_dput __fentry__ filemap_alloc* __filemap_get* __find_*bit*
    find_*bit* find_lock* find_or_create* finish_wait fixup_bug __flush_work
    folio_alloc* folio_unlock folio_wake* fortify_* __fortify_* fpregs_* fpu_* __free_*
    free_debug* free_large_kmalloc free_page* __free_pages* free_pcp* free_percpu* freelist*
    fs_reclaim* fs_reclaim_release ftrace_* general_protection get_device*
    get_page_from_freelist get_taint get_user __get_user* handle_bad_stack handle_bug
    handle_overflow hex_dump* hex_string hlist_* __hlist_* hlock_class __hwasan* hwasan_*
    __hwasan_* hwrng_unregister ida_* idr_* init_timer* insert_work instrument_* invalid_op
    iput irqentry_* *_is_static_object __kalloc* kalloc*
    __kasan* __kasan_* kasan_* kasprintf* kcalloc*
    kcmalloc* __kcsan_* kcsan_* kernel_fpu_begin* __kfence_* kfence_* kfree* kill_fasync klist_*
    __kmalloc* kmalloc* ___kmalloc* kmalloc_* __kmem* kmem_* kmemleak_* __kmsan* __kmsan_*
    kmsan_* kobject_* __kobject_del krealloc* kref_* kstrdup* kthread_stop kvalloc* kvasprintf*
    kvfree kvfree* kvmalloc* kzalloc* kzfree* kzmalloc* list_* __list_* __local_bh_* local_bh_*
    lock_* __lock_* lock_sock* lockdep* lockdep_* lockref_* logic_in* logic_out*
    look_up_lock_class *_map_alloc mark_*lock* mark_buffer_dirty mark_held_* memchr* memcmp*
    __memcpy* memcpy* memdup* __memmove* memmove* memory_is_* memscan* __memset* memset*
    __might* ___might_* __might_* might_* __might_sleep ___might_sleep __mod_timer mod_timer*
    __msan* __msan_* msan_* __mutex_* mutex_* native_queued_*read* native_queued_*spin*
    native_queued_*write* notifier_* object_err on_freelist* oops_* osq_* __page_cache_alloc
    page_fault page_pool_alloc* __page_pool_alloc* pagecache_get_page *panic panic_*
    panic_bad_stack pcpu_* __percpu* percpu_* percpu_down* perf_trace_* __phys_addr* pointer
    post_alloc* preempt_* __preempt_count* ___preempt_schedule preempt_schedule* prep_new_page
    prepare_alloc* prepare_to_wait* print_* _printk printk* __printk* *printk_* __proc_create
    proc_create* proc_register psi_* put_device put_user __put_user* pv_*lock*
    __pv_queued_*read* pv_queued_*read* pv_queued_*spin* __pv_queued_*spin* pv_queued_*write*
    __pv_queued_*write* quarantine_* queue_delayed* __queue_delayed* __queue_work queue_work*
    queued_*lock* queued_*read* queued_*spin* queued_*write* radix_tree_delete* radix_tree_insert*
    radix_tree_lookup* radix_tree_node* __raw_*lock* raw_*lock* _raw_*lock* raw_*read*
    __raw_*read* _raw_*read* __raw_*spin* _raw_*spin* raw_*spin* _raw_*write* raw_*write*
    __raw_*write* raw_atomic* raw_notifier* __rb_* rb_* rcu_* rcu_is* rcu_lock* rcu_read*
    reacquire_* read_cache_page* read_lock* __read_once* read_unlock* read_word_at_a_time
    ref_tracker_* refcount_* __refcount_* register_lock_class release_sock report_* report_bug
    ret_from_* retint_* rhashtable_* rng_* rollback_registered* __rt_* rt_mutex* __rt_mutex*
    rwsem_* __sanitizer_cov* save_stack* __schedule schedule __schedule_bug schedule_timeout*
    scnprintf seqcount* seqprop_* __seqprop_assert* __set_*bit* set_*bit* set_page_owner
    __set_page_owner set_track sget_userns shmem_uncharge should_fail* should_failslab
    show_regs* show_stack* simple_copy_to_iter sk_alloc sk_prot_alloc sk_stop_timer* skb_pull
    skb_push skb_put __slab_* slab_* ___slab_* snprintf sock_kmalloc spin_* _spin_* split_huge*
    __stack_chk_fail stack_trace_* start_report strcat* strchr* strcmp* strcpy* string strlcpy*
    strlen* strn* strscpy* strsep strspn* strstr* sysfs_* task_blocks_on* __task_rq_lock
    __test_*bit* test_*bit* this_cpu* __this_cpu* __timer_* timer_* trace_* trace_hardirqs*
    truncate_inode_pages* __try_to_del_timer* try_to_grab_pending __tsan* tsan_* __tsan_*
    tty_unregister* uaccess* __ubsan* __ubsan_* ubsan_* __und* unlock_page __unregister_client
    unregister_netdev* __up up up_* __up_* usb_bulk_msg usb_control_msg usb_kill_*
    usb_start_wait_urb usb_submit_urb usercopy_* va_format val_to_string valid_state
    validate_chain valloc* __valloc* vfree* __virt_addr_valid virt_to_* __virt_to_phys* vmalloc*
    __vmalloc* vprintk* vscnprintf vsnprintf __vunmap vzalloc* wait_for_completion* __wake_up*
    wake_up_bit* wake_up_process wake_up_q walk_stackframe __warn* warn_* warn_alloc*
    warn_bogus* *_write_lock write_lock* __write_once* write_unlock* __x86_* xas_* __xchg* xchg*
    xts_*
"""
# They do what others ask for: better than nothing where there is no other.
_SERVANTS = """
    flush_work* flush_workqueue process_one_work process_scheduled_works worker_thread kthread
"""
_WAITING = """
    *sched* *_lock* *_slowlock* *down* *rwsem* *completion* *kthread* *wait* *synchronize*
    context_switch __switch_to* cancel_*work* __cancel_*work* __flush_work* flush_work* msleep*
    *rcu_barrier* __rela*
"""
# What a stalled CPU does is another thing each time; what it was asked to do is the same. The
# kernel asks through these functions, and the one that they call is the answer.
_DISPATCHERS = """
    do_syscall* do_fast_syscall* do_int80* do_entry_* invoke_syscall* el0_svc* ret_fast_syscall*
    entry_SYSCALL* entry_SYSENTER* entry_INT80* sysenter_* tracesys_phase2 system_call*
    process_one_work process_scheduled_works worker_thread kthread ret_from_fork*
    start_secondary smpboot_thread_fn run_ksoftirqd cpu_startup_entry *netif_receive_skb*
    do_softirq* __do_softirq handle_softirqs call_timer_fn *run_timers* run_timer_softirq
    *hrtimer_run* tasklet_*action* *vfs_write *vfs_read vfs_iter_* do_vfs_ioctl ioctl do_iter_*
    call_read_iter call_write_iter new_sync_* vfs_ioctl ksys_ioctl blkdev_ioctl
    blkdev_driver_ioctl compat_sys_ioctl *compat_ioctl SyS_ioctl sys_ioctl call_mmap mmap_region
    do_mmap* do_dentry_open vfs_open sock_sendmsg* sock_recvmsg* sock_release __sock_release
    sock_ioctl sock_do_ioctl compat_sock_ioctl sock_mmap __sys_setsockopt sys_setsockopt
    sock_*setsockopt sock_common_setsockopt kernel_listen sk_common_release kernel_accept
    nfnetlink_rcv_msg rtnetlink_rcv_msg netlink_dump __do_fault do_page_fault page_fault __fput
    task_work_run exit_to_usermode* smp_call_function*
"""
_INTERRUPTS = """
    *apic_timer_interrupt* asm_* sysvec_* idtentry_* retint_* restore_regs* irq_* smp_*interrupt*
    __irq_svc* el1_* gic_* handle_*irq* __handle_domain_irq generic_handle_irq* rcu_gp_kthread
    smp_trace_* _stext *sched_show_task dump_cpu_task interrupt_entry
"""
_TRACE = re.compile(r"(?:Call [Tt]race|[Bb]acktrace):")
_POINT = re.compile(r"RIP: |PC is at|pc *: |(?:Call [Tt]race|[Bb]acktrace):")
_SYSTEM_CALL = re.compile(r"(?:__(?:x64|ia32|arm64|s390x?|riscv|x86)_)(?=(?:compat_)?sys_)")
_INNER_CALL = re.compile(r"__(?:se|do)_(?:compat_)?sys_|(?:compat_)?SyS_|ksys_")
_INTERRUPT = re.compile(
    r"RIP: 0010:|RIP: 0033:(?=[A-Za-z_])"  # the latter is UML's, which is a program
    r"|apic_timer_interrupt|</IRQ>|<EOI>|el1_irq|el1h_64_irq\+|__irq_svc"
)


@functools.cache
def _compiled(*globs: str) -> re.Pattern[str]:
    """One pattern of all names, made for the first report: few runs have any, and it takes long."""
    return re.compile("|".join(" ".join(globs).split()).replace("*", r"[\w.]*"))


_HELPERS = {
    Frames.USUAL: (_USUAL, _SERVANTS),
    Frames.TRACE: (_USUAL, _SERVANTS),
    Frames.WAITING: (_USUAL, _SERVANTS, _WAITING),
}
_HELPERS_AT_BEST = {
    Frames.USUAL: (_USUAL,),
    Frames.TRACE: (_USUAL,),
    Frames.WAITING: (_USUAL, _WAITING),
}
_CULPRIT = re.compile(r"(rtnl_lock)|_*synchronize_(?:s?rcu|net|sched)")


def functions(report: str) -> list[str]:
    """The functions of a report in their order; unsure ones only where there are no others."""
    found = [
        (_plain(match["name"] or match["inlined"]), bool(match["unsure"]))
        for match in _FRAME.finditer(_REGISTERS.sub(_program_counter, report))
    ]
    return [name for name, unsure in found if not unsure] or [name for name, _ in found]


def _program_counter(match: re.Match[str]) -> str:
    return match["pc"] or ""


def telling_function(report: str, frames: Frames) -> str:
    """The function of a report's stack that says what the report is about, or "".

    It is the first that is no helper, or else one that only does what others ask for.
    """
    if frames is Frames.CPU:
        return _asked_for(report)
    names = _names(report, frames)
    if frames is Frames.WAITING:
        for name in names:
            if culprit := _CULPRIT.match(name):
                return culprit[1] or "synchronize_rcu"
    for helpers in (_HELPERS[frames], _HELPERS_AT_BEST[frames]):
        for name in names:
            if not _compiled(*helpers).fullmatch(name):
                return name
    return ""


def _names(report: str, frames: Frames) -> list[str]:
    """The functions to choose from, without those of what was printed in between."""
    names: list[str] = []
    if frames is Frames.TRACE:
        trace = _TRACE.search(report)
        names = functions(report[trace.end() :]) if trace else []
    elif frames is Frames.USUAL:
        line, _, rest = report.partition("\n")
        point = _POINT.search(rest)
        first = functions(line)
        names = first + functions(rest[point.start() :]) if first and point else []
    return names or functions(report)


def _asked_for(report: str) -> str:
    """The work that the CPU was asked to do when a timer's interrupt found it busy."""
    interrupt = _INTERRUPT.search(report)
    names = functions(report[interrupt.start() :] if interrupt else report) or functions(report)
    asked = ""
    dispatchers, interrupts = _compiled(_DISPATCHERS), _compiled(_INTERRUPTS)
    for name in names:
        if name.startswith("smp_call_function"):
            return "smp_call_function"
        if dispatchers.fullmatch(name):
            if asked:
                return asked
        elif not interrupts.fullmatch(name):
            asked = name
    usual = _compiled(*_HELPERS[Frames.USUAL])
    tell = (n for n in names if not usual.fullmatch(n) and not interrupts.fullmatch(n))
    return next(tell, asked)


def _plain(name: str) -> str:
    """A function's name without what compilers and the system call macros make of it."""
    return _INNER_CALL.sub("", _SYSTEM_CALL.sub("", _SUFFIX.sub("", name)))
