# SPDX-License-Identifier: GPL-2.0-only
"""The functions of a kernel's stack trace, and which of them a report is about. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lkltest.verdict.signatures import Frames

_FRAME = re.compile(
    r"(?P<unsure>\? )?(?<![\w.$])(?P<name>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?"
    r"|^\W*(?:\[[^\]]*\]\s*)*(?P<inlined>[A-Za-z_][\w.$]*) \S+\.[chS]:[0-9]+ \[inline\]",
    re.MULTILINE,
)
_SUFFIX = re.compile(r"\.(?:isra|part|constprop|cold|llvm|lto_priv)\b.*|\.[0-9]+$")

_USUAL = """
    dump_stack_lvl dump_stack show_stack* show_regs* __dump_* dump_* *panic __warn* warn_*
    report_bug fixup_bug do_error_trap do_trap do_invalid_op do_divide_error
    do_general_protection do_page_fault do_kern_addr_fault* do_translation_fault do_mem_abort*
    asm_exc_* exc_* invalid_op divide_error general_protection page_fault async_page_fault
    error_* handle_bug die* __die* oops_* el1* brk_handler bug_handler debug_exception*
    do_debug_exception do_undef* __und* __dabt_svc bug_at* print_* describe_* __kasan_*
    __kmsan_* __kcsan_* __kfence_* __ubsan_* __asan_* __hwasan_* __msan_* __tsan_* kasan_*
    kmsan_* kcsan_* kfence_* ubsan_* asan_* hwasan_* msan_* tsan_* __asan* __msan* __tsan*
    __hwasan* __kasan* __kmsan* __ubsan* check_memory_region* check_region_inline memory_is_*
    bytes_is_* end_report start_report val_to_string handle_overflow report_* object_err slab_*
    ___slab_* __slab_* check_poison_obj check_slab* check_*object* free_debug* on_freelist*
    freelist* memcpy* memset* memmove* memcmp* memchr* memscan* memdup* __memcpy* __memset*
    __memmove* str* kmalloc* kalloc* kvmalloc* kvalloc* vmalloc* valloc* __kmalloc* __kalloc*
    __vmalloc* __valloc* kzmalloc* kzalloc* kcmalloc* kcalloc* kzfree* kfree* zfree* free*
    kvfree kmem_* __kmem* __do_k* kstrdup* __free_* __do_kmalloc* krealloc* save_stack*
    set_track stack_trace_* cache_alloc* cache_free* qlist_* __copy_from* __copy_to* __copy_in*
    _copy_from* _copy_to* _copy_in* copy_from* copy_to* copy_in* _copy_*iter* __copy_*iter*
    copy_*iter* get_user put_user __get_user* __put_user* csum_* instrument_* check_copy*
    check_object* check_heap* check_stack* check_bogus* check_bounds* check_wait* check_flags*
    check_prev* check_prevs* check_noncircular* check_deadlock* check_usage* check_irq*
    check_preemption* check_shadow* check_unmap* check_sync* check_for* check_panic* usercopy_*
    __check_* _raw_*spin* _raw_*read* _raw_*write* _raw_*lock* __raw_*spin* __raw_*read*
    __raw_*write* __raw_*lock* raw_*spin* raw_*read* raw_*write* raw_*lock* do_raw_* arch_*spin*
    arch_*read* arch_*write* queued_*spin* queued_*read* queued_*write* native_queued_*spin*
    native_queued_*read* native_queued_*write* pv_queued_*spin* pv_queued_*read*
    pv_queued_*write* __pv_queued_*spin* __pv_queued_*read* __pv_queued_*write* queued_*lock*
    pv_*lock* spin_* _spin_* read_unlock* read_lock* write_unlock* write_lock* seqcount*
    __lock_* lock_* lockdep_* lock_sock_nested_x validate_chain valid_state mark_*lock*
    mark_held_* register_lock_class assign_lock_key find_lock* debug_* __debug_* reacquire_*
    might_* __might_* ___might_* fs_reclaim* rcu_read* rcu_lock* rcu_is* lockref_* __mutex_*
    mutex_* __down_* __down down_* down __up_* __up up_* up rwsem_* __rt_mutex* rt_mutex* __rt_*
    percpu_down* __percpu* percpu_* __atomic* arch_atomic* raw_atomic* atomic* __test_*bit*
    __set_*bit* __clear_*bit* __change_*bit* __find_*bit* arch_test_*bit* arch_set_*bit*
    arch_clear_*bit* arch_change_*bit* arch_find_*bit* test_*bit* set_*bit* clear_*bit*
    change_*bit* find_*bit* __refcount_* refcount_* kref_* kobject_* __list_* list_* hlist_*
    __hlist_* rb_* __rb_* cmpxchg* xchg* __xchg* __chg* __read_once* __write_once* __fortify_*
    fortify_* uaccess* __x86_* __virt_addr_valid __phys_addr* virt_to_* __debug_object*
    debug_object* __fentry__ ftrace_* trace_hardirqs* trace_* irqentry_* ret_from_*
    __stack_chk_fail this_cpu* __this_cpu* __preempt_count* preempt_* __schedule_bug __might*
    bad_page* free_page* free_pcp* __free_pages* __alloc_pages* alloc_pages* alloc_page*
    get_page_from_freelist prep_new_page post_alloc* __alloc_frozen* warn_alloc*
"""
_WAITING = """
    *schedule_* *schedule context_switch *wait_for* __wait_* wait_* do_wait* prepare_to_wait*
    io_schedule* bit_wait* __switch_to* out_of_line_wait* __down* synchronize_* __synchronize_*
    flush_work* __flush_work* __cancel_work* cancel_*work* lock_sock* __lock_sock __lock_page*
    lock_page* folio_*lock* __folio_*lock* __rq* msleep*
"""
_CPU = """
    *rcu_* *sched_show_* update_process_times tick_* *hrtimer* *apic_* *local_timer*
    smp_*interrupt* sysvec_* asm_* *nmi* __irq_* irq_* *softirq* __do_softirq do_softirq*
    handle_*irq* *_timer_* call_timer_fn expire_timers run_timer* gic_* *watchdog* native_*
    arch_local* local_irq* arch_cpu* cpu_* trigger_* arch_trigger* task_tick* scheduler_tick
    account_* paravirt* pvclock* kvm_* read_seq* __local_bh* local_bh* bh_* delay_* __delay
    __const_udelay __udelay csd_lock* __sanitizer_* ktime_* timekeeping* unwind_* __unwind*
    orc_* arch_stack* kernel_text* __kernel_text* is_module* __module* in_*stack* get_stack_info
    on_stack update_stack* deref_stack* depot_* stack_depot* _printk printk vprintk* console_*
    serial* uart_* io_serial* *_putchar univ8250* wait_for_xmitr mem32_* inb outb memory_*
    perf_* write_comp_data check_kcov_mode __sanitizer*
"""


def _compiled(*globs: str) -> re.Pattern[str]:
    return re.compile("|".join(" ".join(globs).split()).replace("*", r"[\w.]*"))


_HELPERS = {
    Frames.USUAL: _compiled(_USUAL),
    Frames.WAITING: _compiled(_USUAL, _WAITING),
    Frames.CPU: _compiled(_USUAL, _WAITING, _CPU),
}


def functions(report: str) -> Iterator[str]:
    """Yield the functions of a report in their order, unsure ones only where no others are."""
    found = [
        (_SUFFIX.sub("", match["name"] or match["inlined"]), bool(match["unsure"]))
        for match in _FRAME.finditer(report)
    ]
    sure = [name for name, unsure in found if not unsure]
    yield from sure or (name for name, _ in found)


def telling_function(report: str, frames: Frames) -> str:
    """Return the first function of a report that is no helper, or else its first, or ""."""
    first = ""
    for name in functions(report):
        first = first or name
        if frames is Frames.ANY or not _HELPERS[frames].fullmatch(name):
            return name
    return first
