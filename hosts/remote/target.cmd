@echo off
rem SPDX-License-Identifier: GPL-2.0-only
rem What lkltest does on a Windows target, a verb a connection; cmd alone is asked for, PowerShell not.
rem usage: target-HASH.cmd VERB RUN [SHA256 MARK]
cd /d "%~dp0"
goto %1

rem It ends with the run when a line comes, or when the connection is lost and no more can come.
:run
cd runs\%2
mklink /h %2.exe ..\..\store\%3.exe >nul 2>&1
if not exist %2.exe copy ..\..\store\%3.exe %2.exe >nul
start "" /b cmd /d /c words.cmd %4 <nul
set line=
set /p line=
cd ..\..

rem A run's program has the run's name. Wine's taskkill knows no /t. A file is held for a moment after its
rem program's end; ping is what waits a second.
:end
for /l %%i in (1 1 60) do if exist runs\%2 (
	taskkill /f /t /im %2.exe >nul 2>&1 || taskkill /f /im %2.exe >nul 2>&1
	rmdir /s /q runs\%2 >nul 2>&1
	if exist runs\%2 ping -n 2 127.0.0.1 >nul 2>&1
)
exit /b 0

:watch
echo watching
set line=
set /p line=
:leave
for /d %%i in (runs\*-%2*) do call "%~nx0" end %%~ni
exit /b 0

:stop
taskkill /f /t /im %2.exe >nul 2>&1 || taskkill /f /im %2.exe >nul 2>&1
exit /b 0
